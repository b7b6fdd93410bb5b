"""The prepared form of a data set, which all later stages read: three splits of images in one npz file."""

import hashlib
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.errors import DataError, advice

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Dataset:
    """One data set: images (N, C, H, W) uint8 a split, and labels (N,) int64 where the source has classes.

    Values are 0..255 for colour and 0/1 for binary images, except the `train` images of a `dynamic` data set:
    those are grey levels 0..255, to be binarized anew (P(ink) = level / 255) every time they are visited, and
    `valid_levels` are the grey levels of `valid`, for a training on both.

    A data set from a known source also has what only its maker knows: `factors` (N, F) float32 a split, the global
    variables g behind each image; and of each test image `exact_nll` −log p(x), `exact_information`
    KL(p(g|x) ‖ p(g)), whose mean is I(x; g), (N,) float64 nats, and `exact_factors` E[g|x] (N, F).
    Raises ValueError if the arrays do not fit that description or each other.
    """

    name: str
    kind: Literal["binary", "color"]
    dynamic: bool
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    valid_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    valid_levels: np.ndarray | None = None
    train_factors: np.ndarray | None = None
    valid_factors: np.ndarray | None = None
    test_factors: np.ndarray | None = None
    exact_nll: np.ndarray | None = None
    exact_information: np.ndarray | None = None
    exact_factors: np.ndarray | None = None

    def __post_init__(self) -> None:
        for split in SPLITS:
            self._check(split, getattr(self, split), getattr(self, f"{split}_labels"))
        if self.valid_levels is not None and (not self.dynamic or self.valid_levels.shape != self.valid.shape):
            raise ValueError(f"{self.name}: valid_levels of a data set that is not dynamic, or not of valid's shape")
        known = {f"{split}_factors": split for split in SPLITS}
        known |= dict.fromkeys(("exact_nll", "exact_information", "exact_factors"), "test")
        for name, split in known.items():
            values, images = getattr(self, name), getattr(self, split)
            if values is not None and len(values) != len(images):
                raise ValueError(f"{self.name}: {len(images)} {split} images, and {name} of {len(values)}")

    def training_images(self, splits: Literal["train", "train+valid"]) -> np.ndarray:
        """What to train on (N, C, H, W): like `train`, with the validation images after it if those are wanted too."""
        if splits == "train":
            return self.train
        return np.concatenate([self.train, self.valid if self.valid_levels is None else self.valid_levels])

    def _check(self, split: str, images: np.ndarray, labels: np.ndarray | None) -> None:
        where = f"{self.name}: {split}"
        if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
            raise ValueError(f"{where} is {images.dtype} {images.shape}, not uint8 (N, C, H, W)")
        if images.shape[1] != (1 if self.kind == "binary" else 3):
            raise ValueError(f"{where} images have {images.shape[1]} channels: must be 1, or 3 of colour images")
        if images.shape[1:] != self.image_shape:
            raise ValueError(f"{where} images are {images.shape[1:]}, train images {self.image_shape}")
        if self.kind == "binary" and not (self.dynamic and split == "train") and images.max() > 1:
            raise ValueError(f"{where} is not binary")
        if labels is not None and (labels.dtype != np.int64 or labels.shape != images.shape[:1]):
            raise ValueError(f"{where} labels are {labels.dtype} {labels.shape}, not int64 ({len(images)},)")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    def arrays(self) -> dict[str, np.ndarray]:
        """Every field that is there, as arrays: what is saved and hashed."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: np.asarray(value) for name, value in values.items() if value is not None}

    def sha256(self) -> str:
        """Hash of everything the data set holds, independent of how the file is packed."""
        digest = hashlib.sha256()
        for name, array in self.arrays().items():
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def save(dataset: Dataset, path: Path) -> None:
    """Write the npz, in one step, with the same bytes for the same data set."""
    content = dataset.arrays() | {"sha256": np.asarray(dataset.sha256())}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, **content)  # type: ignore[arg-type]  # stub's allow_pickle
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_dataset(path: Path) -> Dataset:
    """Read a prepared data set; DataError naming the file if it is missing, cut or corrupted."""
    mend = f"{advice('preprocess', path)}, which writes it again"
    try:
        with np.load(path, allow_pickle=False) as content:
            values = {name: content[name] for name in content.files}
        scalars = {name: values.pop(name).item() for name in ("name", "kind", "dynamic")}
        digest = values.pop("sha256").item()
        dataset = Dataset(**scalars, **values)
        if dataset.sha256() != digest:  # the checksums inside a zip file do not cover its table of contents
            raise ValueError("its content does not have the checksum it was saved with")
        return dataset
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing; {mend}") from error
    except (
        OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, RuntimeError,
        zipfile.BadZipFile, zlib.error, struct.error,
    ) as error:  # fmt: skip
        raise DataError(f"{path}: cut or corrupted ({error}); {mend}") from error
