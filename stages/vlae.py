"""The command `vlae`: images through a published model, without loss or as z alone.

Errors that the user can mend end it with one message; nothing is written then.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from pipeline import load_run
from pipeline.coding.codebook import load_codebook
from pipeline.coding.lossy import decoded, describe, from_file, is_lossy, to_file
from pipeline.coding.packing import MAGIC, pack, read_header, unpack
from pipeline.coding.pictures import as_picture, in_a_row, open_picture, prepare, read_exact
from pipeline.errors import DataError
from pipeline.models.vlae import LatentVariableModel
from pipeline.progress import HIDDEN
from pipeline.saved import SavedModel
from pipeline.seeding import stream
from stages import PUBLISHED, run_stage

MODEL = PUBLISHED / "mnist_static" / "vlae_annealed"
PREVIEWED, ENLARGED = 5, 6
T = TypeVar("T")


def main() -> None:
    """What `vlae` does."""
    run_stage(_run)


def _run() -> None:
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    arguments.work(arguments)


def encode(arguments: argparse.Namespace) -> None:
    """Write what a model's z keeps of a picture, in a few bytes."""
    run, model = _latent(arguments.model)
    book, original = load_codebook(arguments.model), open_picture(arguments.picture)
    image, done = prepare(original, model.image_shape[1:])
    cells = describe(model, book, torch.from_numpy(image[None]).float())[0].cells
    file = to_file(run, book, cells)
    if arguments.preview:
        drawn = decoded(model, book, cells, PREVIEWED, stream(0, "preview")).byte().numpy()
        row = [original, *(as_picture(one, ENLARGED) for one in (image, *drawn))]
        _write(arguments.preview, _png(in_a_row(row, ENLARGED)))
    _write(arguments.file, file)
    print(f"{arguments.picture}: {'; '.join(done)}")
    print(f"{arguments.file}: {len(file)} bytes")


def decode(arguments: argparse.Namespace) -> None:
    """Draw pictures that a file may stand for, side by side in one PNG."""
    run, model = _latent(arguments.model)
    book = load_codebook(arguments.model)
    cells = _read(arguments.file, partial(from_file, run, book))
    drawn = decoded(model, book, cells, arguments.draws, stream(arguments.seed, "decode")).byte().numpy()
    _write(arguments.picture, _png(in_a_row([as_picture(one) for one in drawn], 1)))


def pack_images(arguments: argparse.Namespace) -> None:
    """Pack images without loss: a .npy of them, (N, C, H, W) uint8, or pictures of the model's size."""
    run = load_run(arguments.model)
    images = _images(arguments.images, run.model.image_shape)
    try:
        file = pack(run, images)
    except ValueError as error:
        raise DataError(str(error)) from error
    _write(arguments.file, file)
    print(f"{arguments.file}: {len(images)} images in {len(file):,} bytes, {_each(len(file), len(images))}")


def unpack_images(arguments: argparse.Namespace) -> None:
    """Write the images of a packed file: into a .npy, or into a folder, a PNG each."""
    images = _read(arguments.file, partial(unpack, load_run(arguments.model)))
    if arguments.images.suffix == ".npy":
        content = io.BytesIO()
        np.save(content, images)
        _write(arguments.images, content.getvalue())
        return
    arguments.images.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(tqdm(images, unit="image", disable=HIDDEN)):
        _write(arguments.images / f"{number:06}.png", _png(as_picture(image)))


def info(arguments: argparse.Namespace) -> None:
    """Say what a file is."""
    content = _read(arguments.file, bytes)
    if content[: len(MAGIC)] != MAGIC:
        kind = f"z of one image, {len(content)} bytes" if is_lossy(content) else "no file of this program"
        print(f"{arguments.file}: {kind}")
        return
    header = _read(arguments.file, read_header)
    shape = "×".join(map(str, header.shape))
    print(f"{arguments.file}: {header.count} images of {shape}, {_each(len(content), header.count)}")
    print(f"packed with model {header.model.hex()}")


def sample(arguments: argparse.Namespace) -> None:
    """Draw images from a model, side by side in one PNG."""
    model = load_run(arguments.model).model
    drawn = model.sample(arguments.draws, stream(arguments.seed, "sample")).byte().numpy()
    _write(arguments.picture, _png(in_a_row([as_picture(one) for one in drawn], 1)))


def _latent(folder: Path) -> tuple[SavedModel, LatentVariableModel]:
    run = load_run(folder)
    if not isinstance(run.model, LatentVariableModel) or run.model.image_shape[0] != 1:
        raise DataError(f"{folder}: encodes nothing: must be a model of binary images with z")
    return run, run.model


def _images(paths: list[Path], shape: tuple[int, int, int]) -> np.ndarray:
    if len(paths) == 1 and paths[0].suffix == ".npy":
        try:
            return np.load(paths[0], allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataError(f"{paths[0]}: no .npy that can be read ({error})") from error
    return np.stack([read_exact(path, shape) for path in paths])


def _read(path: Path, use: Callable[[bytes], T]) -> T:
    """What `use` makes of a file; its errors name the file."""
    try:
        return use(path.read_bytes())
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _write(path: Path, content: bytes) -> None:
    """In one step: a file is there in full, or as it was."""
    unfinished = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _each(size: int, count: int) -> str:
    return f"{8 * size / count:.2f} bits each" if count else "none"


def _count(text: str) -> int:
    if not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text}: must be a number from 1 to 1000")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vlae", description="Images through a trained model.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="command")

    def command(name: str, work: Callable[[argparse.Namespace], None], *paths: str) -> argparse.ArgumentParser:
        described = commands.add_parser(name, help=work.__doc__, description=work.__doc__)
        described.set_defaults(work=work)
        for path in paths:
            described.add_argument(path, type=Path)
        if name != "info":
            described.add_argument("--model", type=Path, default=MODEL, help=f"folder of a trained model, {MODEL}")
        return described

    encoding = command("encode", encode, "picture", "file")
    encoding.add_argument("--preview", type=Path, help="a PNG of the picture, what is encoded, and five decodings")
    drawing = [command("decode", decode, "file", "picture")]
    packing = command("pack", pack_images)
    packing.add_argument("images", type=Path, nargs="+")
    packing.add_argument("file", type=Path)
    command("unpack", unpack_images, "file", "images")
    command("info", info, "file")
    for one in [*drawing, command("sample", sample, "picture")]:
        one.add_argument("--draws", type=_count, default=1, help="how many, 1")
        one.add_argument("--seed", type=int, default=0, help="of the draws, 0")
    return parser


if __name__ == "__main__":
    main()
