"""Where each tile lands, and what colour its pixels get."""

import numpy as np
import pytest
from PIL import Image

from pipeline.results import sheets


def tile_at(sheet: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    """A tile reduced to one value a pixel, (side, side, 3)."""
    scale = sheets.SHEET_WIDTH // (sheets.COLUMNS * side)
    line = max(1, scale // 2)
    top, left = line + row * (side * scale + line), line + column * (side * scale + line)
    return sheet[top : top + side * scale : scale, left : left + side * scale : scale]


def one_pixel(index: int, count: int = 32) -> np.ndarray:
    """Images (count, 1, 28, 28) with ink only in image `index`, at row 3, column 20."""
    images = np.zeros((count, 1, 28, 28), np.uint8)
    images[index, 0, 3, 20] = 1
    return images


@pytest.mark.parametrize(("index", "row", "column"), [(0, 0, 0), (1, 0, 2), (4, 1, 0), (31, 7, 6)])
def test_a_decompression_stands_right_of_its_original(index, row, column):
    sheet = sheets.pairs_sheet(one_pixel(index), one_pixel(index))
    for offset, ink in ((0, sheets.DATA_INK), (1, sheets.MODEL_INK)):
        tile = tile_at(sheet, row, column + offset, 28)
        assert tuple(tile[3, 20]) == ink
        assert (tile != 255).any(-1).sum() == 1


def test_of_more_pairs_the_first_32_are_shown():
    images = one_pixel(32, count=100)
    assert (sheets.pairs_sheet(images, images) == sheets.pairs_sheet(images[:32], images[:32])).all()


def test_samples_are_in_reading_order():
    sheet = sheets.samples_sheet(one_pixel(9, count=64))
    assert tuple(tile_at(sheet, 1, 1, 28)[3, 20]) == sheets.MODEL_INK


@pytest.mark.parametrize("ends", [True, False])
def test_only_the_ends_of_an_interpolation_are_data(ends):
    images = np.zeros((64, 1, 28, 28), np.uint8)
    images[:, 0, 3, 20] = 1
    sheet = sheets.ladder_sheet(images, ends)
    for row in range(8):
        inks = [tuple(tile_at(sheet, row, column, 28)[3, 20]) for column in range(8)]
        end = sheets.DATA_INK if ends else sheets.MODEL_INK
        assert inks == [end, *[sheets.MODEL_INK] * 6, end]


def test_colour_is_unchanged_and_grey_is_graded():
    colour = np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    assert (tile_at(sheets.data_sheet(colour), 2, 5, 32) == colour[21].transpose(1, 2, 0)).all()
    grey = np.array([0, 128, 255], np.uint8).reshape(1, 1, 1, 3)
    levels = sheets.inked(grey, (0, 0, 0))[0, 0, :, 0]
    assert levels.tolist() == [255, 127, 0]


def test_fewer_images_than_a_row_leave_grid():
    sheet = sheets.data_sheet(one_pixel(0, count=3))
    assert tuple(tile_at(sheet, 0, 3, 28)[0, 0]) == sheets.GRID


def test_a_saved_sheet_keeps_its_pixels(tmp_path):
    sheet = sheets.pairs_sheet(one_pixel(5), one_pixel(6))
    sheets.save_sheet(sheet, tmp_path / "sheet.png")
    assert (np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")) == sheet).all()
