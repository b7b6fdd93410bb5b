"""docs/codec.png is drawn from what is committed, and what it says of sizes is so."""

import contextlib

from conftest import ROOT
from PIL import Image

from stages import codec_picture


def test_the_picture_needs_published_files_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(codec_picture, "PICTURE", tmp_path / "codec.png")
    monkeypatch.setattr(codec_picture, "DIGITS", 3)
    monkeypatch.setattr("sys.argv", ["codec_picture"])
    with contextlib.chdir(ROOT):
        codec_picture.main()
    assert min(Image.open(tmp_path / "codec.png").size) > 300
    said = capsys.readouterr().out
    _, files, _, jpeg = said.split("; ")
    low, high = (int(word) for word in files.split() if word.isdigit())
    assert low <= high <= 8
    assert min(int(word) for word in jpeg.split() if word.isdigit()) > 150


def test_the_digits_are_those_of_the_published_picture():
    digits = codec_picture.test_digits(ROOT / codec_picture.MODEL)
    assert digits.shape == (32, 1, 28, 28)
    assert set(digits.unique().tolist()) == {0.0, 1.0}
    assert 0.05 < digits.mean() < 0.25
