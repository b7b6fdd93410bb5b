"""Trainings of several processes as a user runs them: resumed by others, stopped, with one of them dying."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
import yaml
from conftest import ROOT
from tiny_project import binary_dataset, write_project

from pipeline.config import load_params
from pipeline.schema import ParamError
from stages import training
from stages.cores import cores
from stages.workers import resolve_workers

TRAIN = ["-m", "stages.train", "--dataset", "mnist5k", "--model", "vae"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
OUTS = ("model.safetensors", "config.json", "history.csv")


@pytest.fixture
def project(tmp_path):
    write_project(tmp_path)
    change(tmp_path, shards=2)
    return tmp_path


@pytest.fixture
def endless(project):
    """One whose training nothing but a signal ends."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["scales"]["smoke"]["binary"]["steps"]["vae"] = 10**6
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    return project


def change(folder, **training):
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["training"] |= training
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def start(folder, *arguments, **environment):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VLAE_CHECKPOINTS": str(folder / "checkpoints")} | environment
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process):
    """The status and what was said."""
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def pair(folder):
    """Two processes as torchrun would start them, without torchrun to end the one when the other has ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    return [start(folder, *TRAIN, RANK=rank, LOCAL_RANK=rank, **common) for rank in ("0", "1")]


def wait_for(folder, steps):
    """Until a checkpoint of at least so many steps is there."""
    for _ in range(20_000):
        for file in (folder / "checkpoints").glob("*.pt"):
            if torch.load(file, weights_only=True)["step"] >= steps:
                return
        time.sleep(0.01)
    raise TimeoutError


def outs(folder):
    return [(folder / "runs/mnist5k/vae/seed0" / name).read_bytes() for name in OUTS]


def test_what_processes_began_one_goes_on_with_to_the_same_bits(project):
    assert finish(start(project, *TRAIN, VLAE_WORKERS="1"))[0] == 0
    whole = outs(project)
    status, errors = finish(start(project, *TORCHRUN, *TRAIN, "--minutes", "0"))
    assert status == 0, errors
    assert errors.count("stopped at step 1 of 60, saved") == 1
    status, errors = finish(start(project, *TRAIN, VLAE_WORKERS="2"))
    assert (status, "going on after step 1 of 60" in errors) == (0, True)
    assert outs(project) == whole
    assert not list((project / "checkpoints").glob("*.pt"))


def test_a_signal_to_one_process_stops_all_once_the_first_has_saved(endless):
    processes = pair(endless)
    wait_for(endless, 3)
    processes[1].terminate()
    (first, said), (second, silent) = map(finish, processes)
    assert (first, second) == (0, 128 + signal.SIGTERM)
    assert (said.count("saved; the same command goes on"), "saved" in silent) == (1, False)


def test_a_process_that_dies_ends_the_other_which_says_so(endless):
    processes = pair(endless)
    wait_for(endless, 3)
    processes[1].kill()
    status, errors = finish(processes[0])
    assert status == 1
    assert "error: another process of this training has ended" in errors
    assert "Traceback" not in errors
    finish(processes[1])


@pytest.mark.parametrize(
    ("environment", "parts"),
    [
        ({"VLAE_WORKERS": "0"}, ["VLAE_WORKERS", "'0'"]),
        ({"VLAE_WORKERS": "two"}, ["VLAE_WORKERS", "'two'"]),
        (
            {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "4", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4"},
            ["--nproc-per-node", "'4'", "at most 2"],
        ),
        ({"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}, ["training.shards", "4", "of 3"]),
    ],
)
def test_shards_that_do_not_go_round_are_refused(monkeypatch, environment, parts):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ParamError) as refused:
        resolve_workers("cuda" if "LOCAL_WORLD_SIZE" in environment else "cpu", 4)
    assert all(part in str(refused.value) for part in parts)


def test_a_batch_that_shards_do_not_divide_is_refused(project, monkeypatch):
    monkeypatch.chdir(project)
    change(project, shards=5)
    params = load_params()
    with pytest.raises(ParamError, match=r"training\.shards = 5: must be a divisor of the batch of 32"):
        training.run(params, params.model("vae", "binary"), binary_dataset(), "vae", 0, None)


@pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("9", 4), (None, min(4, cores()))])
def test_a_process_alone_has_as_many_threads_as_asked_for_or_as_cores_but_no_more_than_shards(
    monkeypatch, asked, threads
):
    if asked:
        monkeypatch.setenv("VLAE_WORKERS", asked)
    else:
        monkeypatch.delenv("VLAE_WORKERS", raising=False)
    _, workers = resolve_workers("cpu", 4)
    seen = workers.map(lambda shard: torch.tensor([shard, torch.get_num_threads()]), range(4))
    assert torch.stack(seen).tolist() == [[shard, 1] for shard in range(4)]
    assert workers.pool._max_workers == threads
    assert workers.share(4) == range(4)
