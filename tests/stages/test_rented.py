"""A rented GPU, tried on the CPU: what is packed, trained for a while, brought back, and gone on with."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from tiny_project import color_dataset, write_project

from pipeline.data.packed import pack, unpack
from stages import rented

MODEL, OTHER, STEPS = "narrow_7x4", "narrow_pixelcnnpp", 6
NOT_THERE = (
    "import sys; sys.modules |= dict.fromkeys('dvc submitit pandas scipy sklearn matplotlib yaml'.split())\n"
)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["rented", *arguments])
    rented.main()


def test_images_come_out_as_they_went_in_and_no_more_than_fit():
    dataset = color_dataset()
    whole = unpack(pack(dataset, 10**6))
    for split in ("train", "valid"):
        assert np.array_equal(getattr(whole, split), getattr(dataset, split))
    packed = pack(dataset, 10_000, valid=4)
    part = unpack(packed).train
    assert 9_000 < len(packed) <= 10_000
    assert 1 < len(part) < len(dataset.train)
    assert np.array_equal(part, dataset.train[: len(part)])
    with pytest.raises(ValueError, match="too few"):
        pack(dataset, 100)


@pytest.fixture
def there(tmp_path, monkeypatch, capsys):
    """The folder that is copied to a rented machine."""
    write_project(tmp_path)
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("vlae: 60", f"vlae: {STEPS}"))
    for name in rented.CODE:
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    command(monkeypatch, "pack", "there", "--dataset", "photos")
    assert "96 of 96 training images" in capsys.readouterr().out
    return tmp_path / "there"


def test_a_training_goes_on_from_what_was_brought_back_to_the_same_weights(there, monkeypatch, capsys):
    weights = []
    for sittings in ((0, 0, None), (None,)):
        shutil.rmtree(there / "back", ignore_errors=True)
        for number, minutes in enumerate(sittings):
            monkeypatch.chdir(shutil.copytree(there, there.with_name(f"{len(sittings)}-{number}")))
            rented._one(MODEL, time.monotonic() + (60 * minutes if minutes is not None else 600), "smoke")
            to = STEPS if minutes is None else number + 1
            assert f"{MODEL}: steps {number} to {to} of {STEPS}; " in capsys.readouterr().out
            names = {piece.suffix for piece in Path("back", MODEL).iterdir()}
            assert names == {".json", ".csv", ".safetensors" if minutes is None else ".0"}
            shutil.copytree("back", there / "back", dirs_exist_ok=True)
        weights.append(Path("back", MODEL, "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_what_is_done_is_left_and_what_is_further_here_is_not_replaced(there, monkeypatch, capsys):
    monkeypatch.chdir(there)
    for _ in range(2):
        rented._one(MODEL, time.monotonic(), "smoke")
    earlier = shutil.copytree("back", there.with_name("earlier"))
    rented._one(MODEL, time.monotonic(), "smoke")
    shutil.rmtree("back")
    shutil.copytree(earlier, "back")
    capsys.readouterr()
    rented._one(MODEL, time.monotonic() + 600, "smoke")
    assert f"{MODEL}: steps 3 to {STEPS} of {STEPS}; " in capsys.readouterr().out
    trained = Path("back", MODEL, "model.safetensors").read_bytes()
    rented._one(MODEL, time.monotonic(), "smoke")
    assert f"{MODEL}: done, in back/{MODEL}" in capsys.readouterr().out
    assert Path("back", MODEL, "model.safetensors").read_bytes() == trained


def test_a_damaged_checkpoint_that_is_brought_back_replaces_nothing(tmp_path):
    rented.cut(b"damaged", tmp_path / "back", "a")
    for here in (None, 3):
        if here:
            torch.save({"step": here}, tmp_path / "a.pt")
        assert rented._brought(tmp_path / "back", tmp_path) == (here or 0)


def test_rows_train_side_by_side_where_little_is_installed_and_one_that_fails_is_named(there):
    code = [NOT_THERE + "from stages.rented import main; main()", "train", "--scale", "smoke", "--minutes", "0"]
    (there / "checkpoints").mkdir()
    (there / "checkpoints" / OTHER).touch()  # where a folder is to be made
    said = subprocess.run([sys.executable, "-c", *code, OTHER, MODEL], cwd=there, capture_output=True, encoding="utf-8")
    assert f"{MODEL}: steps 0 to 1 of {STEPS}; " in said.stdout, said.stderr
    assert f"not trained: {OTHER};" in said.stderr
    assert said.returncode == 1


def test_pieces_are_joined_in_their_order_and_replace_those_of_before(tmp_path, monkeypatch):
    monkeypatch.setattr(rented, "PIECE", 3)
    for content in (bytes(range(64)), bytes(range(7))):
        rented.cut(content, tmp_path, "a")
        assert rented.joined(tmp_path, "a") == content
        assert all(piece.stat().st_size <= 3 for piece in Path(tmp_path).iterdir())
    assert rented.joined(tmp_path, "b") == b""
