"""Any picture becomes an image in the frame of MNIST, and the page says what was done to it."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import center_of_mass

from pipeline.coding.pictures import as_picture, in_a_row, open_picture, prepare, read_exact
from pipeline.errors import DataError

SIZE = (28, 28)


def drawing(size=(300, 200), ink=0, paper=255, mode="L"):
    picture = Image.new("L", size, paper)
    ImageDraw.Draw(picture).line([(40, 60), (120, 60), (120, 160)], fill=ink, width=20)
    return picture.convert(mode)


MODES = ["L", "RGB", "RGBA", "P", "1", "CMYK", "LA", "I", "F", "I;16"]


@pytest.mark.parametrize("mode", MODES)
def test_a_drawing_is_the_same_image_in_every_mode(mode):
    picture = drawing()
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    image, _ = prepare(picture if mode == "I;16" else picture.convert(mode), SIZE)
    expected, _ = prepare(drawing(), SIZE)
    assert (image != expected).mean() < 0.01


@pytest.mark.parametrize("size", [(300, 200), (120, 400), (2000, 1500), (28, 30)])
def test_ink_fills_the_frame_as_in_mnist(size):
    picture = Image.new("L", size, 255)
    ImageDraw.Draw(picture).ellipse([size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2], fill=0)
    image, done = prepare(picture, SIZE)
    rows, columns = (np.flatnonzero(image[0].any(axis)) for axis in (1, 0))
    assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    assert np.allclose(center_of_mass(image[0]), 13.5, atol=1.0)
    assert any("scaled" in one for one in done)


def test_dark_on_light_is_inverted_and_light_on_dark_is_not():
    dark, said = prepare(drawing(), SIZE)
    light, unsaid = prepare(drawing(ink=255, paper=0), SIZE)
    assert np.array_equal(dark, light)
    assert any("inverted" in one for one in said)
    assert not any("inverted" in one for one in unsaid)


def test_what_is_transparent_is_paper():
    picture = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    ImageDraw.Draw(picture).line([(20, 20), (80, 80)], fill=(0, 0, 0, 255), width=9)
    image, done = prepare(picture, SIZE)
    assert 0.05 < image.mean() < 0.3
    assert "laid on white" in done


def test_an_image_of_the_models_size_stays_as_it_is():
    image = (np.random.RandomState(0).rand(1, 28, 28) < 0.2).astype(np.uint8)
    assert np.array_equal(prepare(as_picture(image), SIZE)[0], image)


@pytest.mark.parametrize("level", [0, 7, 255])
def test_an_empty_picture_has_no_ink(level):
    assert not prepare(Image.new("L", (90, 70), level), SIZE)[0].any()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_picture_is_refused_by_name(tmp_path, content):
    (tmp_path / "digit.png").write_bytes(content)
    with pytest.raises(DataError, match=r"digit\.png"):
        open_picture(tmp_path / "digit.png")


@pytest.mark.parametrize("shape", [(1, 8, 6), (3, 4, 8)])
def test_images_come_back_from_pictures_of_them(tmp_path, shape):
    levels = np.random.RandomState(0).randint(0, 2 if shape[0] == 1 else 256, shape).astype(np.uint8)
    as_picture(levels).save(tmp_path / "one.png")
    assert np.array_equal(read_exact(tmp_path / "one.png", shape), levels)


@pytest.mark.parametrize("picture", [Image.new("L", (8, 9)), Image.new("L", (8, 8), 100)])
def test_pictures_of_another_size_or_with_greys_are_no_images(tmp_path, picture):
    picture.save(tmp_path / "one.png")
    with pytest.raises(DataError, match=r"one\.png"):
        read_exact(tmp_path / "one.png", (1, 8, 8))


def test_a_row_has_room_for_all_of_its_pictures():
    one = as_picture(np.ones((1, 8, 8), np.uint8), 2)
    row = in_a_row([Image.new("L", (100, 50)), one, one], 3)
    assert row.size == (32 + 3 + 16 + 3 + 16, 16)
