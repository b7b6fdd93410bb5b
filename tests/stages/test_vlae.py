"""The command `vlae`: files in and out, and errors that name the file and leave nothing behind."""

import sys

import numpy as np
import pytest
import torch
from conftest import COLOR_VLAE, PIXELCNN, VLAE
from PIL import Image
from tiny_runs import images_of, tiny_run

from pipeline.coding.codebook import learn
from pipeline.coding.pictures import as_picture
from pipeline.saved import save_run
from stages import vlae


@pytest.fixture
def model(tmp_path):
    """A folder with a model, its codebook, and a picture."""
    return put(tmp_path, VLAE, (1, 8, 8))


def put(folder, block, shape):
    run = tiny_run(block, shape)
    save_run(folder / "model", run.model, run.config)
    if block == VLAE:
        learn(run.model, torch.from_numpy(images_of(block, 30)).float(), 0.5).save(folder / "model")
    as_picture(images_of(block, 1)[0]).save(folder / "digit.png")
    return folder


def call(monkeypatch, folder, *words):
    monkeypatch.chdir(folder)
    model = [] if words[0] == "info" else ["--model", "model"]
    monkeypatch.setattr(sys, "argv", ["vlae", *map(str, words), *model])
    vlae.main()


def test_a_picture_becomes_a_few_bytes_and_these_some_pictures(model, monkeypatch, capsys):
    call(monkeypatch, model, "encode", "digit.png", "digit.vlae", "--preview", "preview.png")
    assert "digit.vlae: " in capsys.readouterr().out
    assert (model / "digit.vlae").stat().st_size < 10
    assert Image.open(model / "preview.png").size == (7 * 48 + 6 * 6, 48)
    call(monkeypatch, model, "decode", "digit.vlae", "out.png", "--draws", "5")
    assert Image.open(model / "out.png").size == (5 * 8 + 4, 8)
    call(monkeypatch, model, "info", "digit.vlae")
    assert "z of one image" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["back.npy", "back"])
def test_images_are_packed_and_unpacked(model, monkeypatch, capsys, output):
    images = images_of(VLAE, 5)
    np.save(model / "images.npy", images)
    call(monkeypatch, model, "pack", "images.npy", "images.vlae")
    call(monkeypatch, model, "info", "images.vlae")
    assert "5 images of 1×8×8" in capsys.readouterr().out
    call(monkeypatch, model, "unpack", "images.vlae", output)
    if output == "back.npy":
        assert np.array_equal(np.load(model / output), images)
    else:
        assert np.array_equal(np.asarray(Image.open(model / "back/000004.png")) // 255, images[4, 0])


def test_pictures_are_packed_too(model, monkeypatch):
    call(monkeypatch, model, "pack", "digit.png", "digit.png", "two.vlae")
    call(monkeypatch, model, "unpack", "two.vlae", "two.npy")
    assert np.load(model / "two.npy").shape == (2, 1, 8, 8)


@pytest.mark.parametrize("block", [VLAE, PIXELCNN, COLOR_VLAE])
def test_samples_are_drawn(tmp_path, monkeypatch, block):
    folder = put(tmp_path, block, images_of(block, 1).shape[1:])
    call(monkeypatch, folder, "sample", "drawn.png", "--draws", "3")
    assert Image.open(folder / "drawn.png").height in (4, 8)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("encode", "missing.png", "out"), "missing.png"),
        (("encode", "model/config.json", "out"), "config.json"),
        (("decode", "digit.png", "out"), "digit.png"),
        (("unpack", "digit.png", "out"), "digit.png"),
        (("pack", "wrong.npy", "out"), "images"),
        (("pack", "model/config.json", "out"), "config.json"),
        (("encode", "digit.png", "no/folder/out"), "out"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_nothing_is_written(model, monkeypatch, capsys, words, named):
    np.save(model / "wrong.npy", np.full((2, 1, 8, 8), 7, np.uint8))
    before = sorted(model.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, model, *words)
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert named in said
    assert said.count("\n") == 1
    assert sorted(model.rglob("*")) == before


@pytest.mark.parametrize("block", [PIXELCNN, COLOR_VLAE])
def test_models_without_z_of_binary_images_encode_nothing(tmp_path, monkeypatch, capsys, block):
    folder = put(tmp_path, block, images_of(block, 1).shape[1:])
    with pytest.raises(SystemExit):
        call(monkeypatch, folder, "encode", "digit.png", "digit.vlae")
    assert "must be a model of binary images with z" in capsys.readouterr().err
    assert not (folder / "digit.vlae").exists()


@pytest.mark.parametrize("command", [(), ("encode",), ("decode",), ("pack",), ("unpack",), ("info",), ("sample",)])
def test_every_command_has_its_help(monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["vlae", *command, "--help"])
    with pytest.raises(SystemExit) as caught:
        vlae.main()
    assert caught.value.code == 0
    assert "usage: vlae" in capsys.readouterr().out
