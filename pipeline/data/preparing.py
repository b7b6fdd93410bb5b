"""From the raw files of each data set to its prepared form: orientation, splits, the fixed binarization.

Binary images come out upright with ink 1 on background 0. Within a split the images are in a fixed random
order, because several sources sort them by class and a budget that looks at the first n must see all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.data import color_textures, textures
from pipeline.data.datasets import SPLITS, Dataset
from pipeline.data.formats import (
    DataError,
    read_amat,
    read_cifar,
    read_csv,
    read_drawings,
    read_idx,
    read_mat,
    read_photo,
)
from pipeline.data.resizing import resize
from pipeline.data.textures import TextureSource

ORDER_SEED = 20161108
FEWEST_TEST_IMAGES = 2
"""Standard errors and intervals are those of a mean over images."""
SIDE = 28
PIXELS = SIDE * SIDE
TRAINING_DRAWERS = 15
HELD_OUT_DRAWINGS = 1345
CROP = 32
CROP_STRIDES = {"train": 8, "valid": 16, "test": 16}
CROP_COLUMNS = {  # from, to: the motifs are in the middle and each split has to see some of them
    "train": ((0, 144), (272, 400), (512, 640)),
    "valid": ((416, 496),),
    "test": ((160, 256),),
}


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) uint8; their labels (N,) int64, factors (N, F) and exact values, if there are any."""

    images: np.ndarray
    labels: np.ndarray | None = None
    factors: np.ndarray | None = None
    exact: dict[str, np.ndarray] | None = None

    def take(self, index: slice | np.ndarray) -> "Split":
        """The images at `index`, with all that belongs to them."""
        labels, factors = (None if part is None else part[index] for part in (self.labels, self.factors))
        exact = None if self.exact is None else {key: part[index] for key, part in self.exact.items()}
        return Split(self.images[index], labels, factors, exact)


Splits = tuple[Split, Split, Split]
Recipe = tuple[Literal["binary", "color"], bool, Callable[[Path], Splits]]
"""Kind, whether grey levels are binarized, and how to read the raw files."""


def prepare(
    dataset: str, raw_dir: Path, binarization_seed: int, recipes: Mapping[str, Recipe] | None = None
) -> Dataset:
    """Build a data set from the files that `fetch` put into `raw_dir/dataset`.

    `recipes` say how, by default those of the built-in ones. Validation and test images that come as grey levels are
    binarized once, by `binarization_seed`.
    Raises DataError if there is no such data set, a raw file is unreadable or the splits are not what was declared,
    FileNotFoundError if a raw file is not there.
    """
    recipes = RECIPES if recipes is None else recipes
    if dataset not in recipes:
        raise DataError(f"{dataset}: no such data set; there are {', '.join(recipes)}")
    kind, dynamic, read = recipes[dataset]
    values: dict[str, np.ndarray | None] = {}
    splits = read(raw_dir / dataset)
    for i, (name, split) in enumerate(zip(SPLITS, splits, strict=True)):
        order = _permutation(len(split.images), i)
        if dynamic and name == "valid":
            values["valid_levels"] = split.images[order]
        if dynamic and name != "train":
            split = replace(split, images=binarize(split.images, binarization_seed, i))
        split = split.take(order)
        values |= {name: split.images, f"{name}_labels": split.labels, f"{name}_factors": split.factors}
        if split.exact is not None:
            values |= {f"exact_{key}": value for key, value in split.exact.items()}
    if len(splits[-1].images) < FEWEST_TEST_IMAGES:
        raise DataError(f"{dataset}: {len(splits[-1].images)} test images: must be at least {FEWEST_TEST_IMAGES}")
    try:
        return Dataset(dataset, kind, dynamic, **values)  # type: ignore[arg-type]  # images cannot be None
    except ValueError as error:
        raise DataError(str(error)) from error


def binarize(levels: np.ndarray, seed: int, split: int) -> np.ndarray:
    """Bernoulli draws, uint8 in {0, 1}, with P(1) = level / 255; each split has its own stream of numbers."""
    uniform = np.random.default_rng([seed, split]).random(levels.shape, dtype=np.float32)
    return (uniform * 255 < levels).astype(np.uint8)


def _permutation(count: int, purpose: int) -> np.ndarray:
    # RandomState, because NumPy guarantees that its numbers never change
    return np.random.RandomState([ORDER_SEED, purpose]).permutation(count)


def _hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """Training and validation images: `count` random ones of a training set go to validation."""
    order = _permutation(len(split.images), len(SPLITS))
    return split.take(order[count:]), split.take(order[:count])


def _mnist5k(folder: Path) -> Splits:
    """4,000 / 500 / 500 of the 500 images a class."""
    table = read_csv(folder / "mnist_5k.csv", PIXELS + 1)
    digits = Split(table[:, :-1].reshape(-1, 1, SIDE, SIDE), table[:, -1].astype(np.int64))
    assert digits.labels is not None
    order = _permutation(len(table), len(SPLITS))
    by_class = np.stack([order[digits.labels[order] == label] for label in range(10)])
    train, valid, test = (part.ravel() for part in np.split(by_class, [400, 450], axis=1))
    return digits.take(train), digits.take(valid), digits.take(test)


def _textures(folder: Path) -> Splits:
    """40,000 / 2,000 / 2,000, with their factors, and exact values of the test images."""
    drawn = Split(np.load(folder / "images.npy"), factors=np.load(folder / "factors.npy"))
    train, valid, test = _in_turn(drawn, textures.SIZES)
    return train, valid, replace(test, exact=TextureSource().exact(test.images)._asdict())


def _color_textures(folder: Path) -> Splits:
    """8,000 / 500 / 1,000, labelled by their hue, and exact values of the test images."""
    drawn = Split(np.load(folder / "images.npy"), np.load(folder / "hues.npy"))
    train, valid, test = _in_turn(drawn, color_textures.SIZES)
    return train, valid, replace(test, exact=color_textures.exact(test.images))


def _in_turn(drawn: Split, sizes: dict[str, int]) -> Splits:
    """Splits of these sizes, one after the other."""
    ends = np.cumsum([0, *sizes.values()])
    train, valid, test = (drawn.take(slice(start, end)) for start, end in pairwise(ends))
    return train, valid, test


def _mnist_static(folder: Path) -> Splits:
    """Larochelle's 50,000 / 10,000 / 10,000, which have no labels."""
    train, valid, test = (
        Split(read_amat(folder / f"binarized_mnist_{name}.amat", PIXELS).reshape(-1, 1, SIDE, SIDE)) for name in SPLITS
    )
    return train, valid, test


def _mnist_dynamic(folder: Path) -> Splits:
    """The last 10,000 of 60,000 training images are for validation, as in Larochelle's split."""
    training, test = (
        Split(
            read_idx(folder / f"{name}-images-idx3-ubyte", 3)[:, None],
            read_idx(folder / f"{name}-labels-idx1-ubyte", 1).astype(np.int64),
        )
        for name in ("train", "t10k")
    )
    return training.take(slice(None, -10_000)), training.take(slice(-10_000, None)), test


def _omniglot(folder: Path) -> Splits:
    """Burda's 28x28 images, stored as columns of intensities in [0, 1]; labels are the 50 alphabets."""
    shapes = {"data": PIXELS, "target": 50, "testdata": PIXELS, "testtarget": 50}
    content = read_mat(folder / "chardata.mat", {name: (rows, None) for name, rows in shapes.items()})
    training, test = (
        Split(
            _from_columns(np.rint(content[f"{part}data"].T * 255).astype(np.uint8)),
            content[f"{part}target"].argmax(axis=0).astype(np.int64),
        )
        for part in ("", "test")
    )
    return *_hold_out(training, HELD_OUT_DRAWINGS), test


def _omniglot_rebuilt(folder: Path) -> Splits:
    """Burda's images made again from Lake's drawings; labels are the 1,623 characters, from 0.

    Drawers 1 to 15 of each character are for training, 16 to 20 for testing: 45 images more than Burda's.
    """
    images, characters, drawers = [], [], []
    for part in ("background", "evaluation"):
        for character, drawer, image in read_drawings(folder / f"images_{part}.zip"):
            images.append(np.rint(resize(1 - image, SIDE) * 255).astype(np.uint8))
            characters.append(character - 1)
            drawers.append(drawer)
    drawings = Split(np.stack(images)[:, None], np.array(characters, np.int64))
    for_training = np.array(drawers) <= TRAINING_DRAWERS
    return *_hold_out(drawings.take(for_training), HELD_OUT_DRAWINGS), drawings.take(~for_training)


def _caltech101(folder: Path) -> Splits:
    """Marlin's split 1, stored column by column and with the silhouette as 0; labels from 0."""
    names = ("train", "val", "test")
    columns = {f"{name}_data": PIXELS for name in names} | {f"{name}_labels": 1 for name in names}
    path = folder / "caltech101_silhouettes_28_split1.mat"
    content = read_mat(path, {name: (None, count) for name, count in columns.items()})
    train, valid, test = (
        Split(
            _from_columns(1 - content[f"{name}_data"]),
            content[f"{name}_labels"][:, 0].astype(np.int64) - 1,
        )
        for name in names
    )
    return train, valid, test


def _photos(folder: Path) -> Splits:
    """Overlapping crops of two photographs; each split has its own columns, 16 away from the others'."""
    photos = [read_photo(folder / name) for name in ("china.jpg", "flower.jpg")]
    train, valid, test = (
        Split(
            np.concatenate(
                [
                    _crops(photo[:, start:end], CROP_STRIDES[name])
                    for photo in photos
                    for start, end in CROP_COLUMNS[name]
                ]
            )
        )
        for name in SPLITS
    )
    return train, valid, test


def _crops(photo: np.ndarray, stride: int) -> np.ndarray:
    """All crops (N, 3, 32, 32) of a photograph (H, W, 3) whose corners are multiples of `stride`."""
    windows = np.lib.stride_tricks.sliding_window_view(photo, (CROP, CROP), axis=(0, 1))
    return windows[::stride, ::stride].reshape(-1, 3, CROP, CROP)


def _cifar10(folder: Path) -> Splits:
    """The last 5,000 of 50,000 training images are for validation."""
    batches = [read_cifar(folder / f"data_batch_{i}.bin") for i in range(1, 6)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    training = Split(images, labels)
    test = Split(*read_cifar(folder / "test_batch.bin"))
    return training.take(slice(None, -5000)), training.take(slice(-5000, None)), test


def _from_columns(images: np.ndarray) -> np.ndarray:
    """Images (N, 784) in MATLAB's order, column by column, as (N, 1, 28, 28)."""
    return images.reshape(-1, 1, SIDE, SIDE).swapaxes(2, 3)


RECIPES: dict[str, Recipe] = {
    "mnist5k": ("binary", True, _mnist5k),
    "textures": ("binary", False, _textures),
    "color_textures": ("color", False, _color_textures),
    "mnist_static": ("binary", False, _mnist_static),
    "mnist_dynamic": ("binary", True, _mnist_dynamic),
    "omniglot": ("binary", True, _omniglot),
    "omniglot_rebuilt": ("binary", True, _omniglot_rebuilt),
    "caltech101": ("binary", False, _caltech101),
    "photos": ("color", False, _photos),
    "cifar10": ("color", False, _cifar10),
}
