"""Checkpoints are found by the very same training only, and are never half-written."""

import os

import pytest
import torch

from pipeline.training import checkpoints
from pipeline.training.checkpoints import (
    checkpoint_path,
    fingerprint,
    load_checkpoint,
    require_writable,
    save_checkpoint,
)


def test_fingerprint_depends_on_parameters_data_and_code(tmp_path, monkeypatch):
    identity = {"model_config": {"latent_dim": 64}, "data_sha256": "a"}
    first = fingerprint(identity)
    assert first == fingerprint(dict(reversed(identity.items())))
    assert first != fingerprint(identity | {"data_sha256": "b"})
    assert first != fingerprint(identity | {"model_config": {"latent_dim": 32}})
    code = tmp_path / "models" / "x.py"
    code.parent.mkdir()
    code.write_text("a = 1")
    monkeypatch.setattr(checkpoints, "PACKAGE", tmp_path)
    other = fingerprint(identity)
    code.write_text("a = 2")
    assert len({first, other, fingerprint(identity)}) == 3


def test_the_code_that_decides_the_weights_is_covered():
    files = {file.name for pattern in checkpoints.CODE for file in checkpoints.PACKAGE.glob(pattern)}
    assert {
        "vlae.py",
        "pixelcnn.py",
        "decoders.py",
        "masked.py",
        "layers.py",
        "levels.py",
        "loop.py",
        "batches.py",
        "seeding.py",
    } <= files
    assert {"pixelcnn.cpp", "generator.cpp", "vectors.h"} <= files


def test_path_is_absolute_and_outside_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLAE_CHECKPOINTS", "here")
    assert checkpoint_path({}).parent == tmp_path / "here"
    monkeypatch.delenv("VLAE_CHECKPOINTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert checkpoint_path({}).is_relative_to(tmp_path / "cache")


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"step": 1})

    def interrupted(state, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path) == {"step": 1}


class Evil:
    def __reduce__(self):
        return (open, ("executed", "w"))


def test_code_in_a_checkpoint_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"step": Evil()}, tmp_path / "evil.pt")
    assert load_checkpoint(tmp_path / "evil.pt") is None
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kept", [0, 1, 2000])
def test_a_damaged_checkpoint_is_named_and_set_aside(tmp_path, caplog, kept):
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"weights": torch.zeros(1000)})
    half = path.read_bytes()[:kept]
    path.write_bytes(half)
    assert load_checkpoint(path) is None
    assert str(tmp_path / "c.damaged") in caplog.text
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("c.damaged", half)]


def test_a_checkpoint_that_cannot_be_read_now_is_not_lost(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"step": 1})

    def busy(*arguments, **options):
        raise OSError("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", busy)
        with pytest.raises(OSError, match="too many"):
            load_checkpoint(path)
    assert load_checkpoint(path) == {"step": 1}


def test_leftovers_of_a_killed_run_are_removed_but_not_what_another_is_writing(tmp_path):
    old, young = tmp_path / "c.1.partial", tmp_path / "c.2.partial"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    save_checkpoint(tmp_path / "c.pt", {"step": 1})
    assert {file.name for file in tmp_path.iterdir()} == {"c.pt", "c.2.partial"}


def test_no_home_folder_is_needed_where_the_folder_is_named(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", homeless)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert checkpoint_path({}).is_relative_to(tmp_path)  # conftest.py sets VLAE_CHECKPOINTS
    monkeypatch.delenv("VLAE_CHECKPOINTS")
    with pytest.raises(OSError, match="set VLAE_CHECKPOINTS"):
        checkpoint_path({})


def test_a_folder_that_cannot_be_written_to_is_found_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/c: no checkpoint can be written there .*set VLAE_CHECKPOINTS"):
        require_writable(tmp_path / "file" / "c" / "x.pt")
    require_writable(tmp_path / "new" / "x.pt")
    assert not list((tmp_path / "new").iterdir())
