"""Trainings as jobs, by submitit's local executor: told to save, cancelled, failed, given a wrong launcher."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest
from conftest import ROOT
from one_node_slurm import missing, one_node_slurm
from tiny_project import binary_dataset, write_project

from pipeline.config import load_params
from pipeline.schema import ParamError
from stages import launching, training
from stages.launching import launch
from stages.resumable import Resumable

T = TypeVar("T")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With the cluster.yaml that the project has; jobs are local ones."""
    shutil.copy(ROOT / "cluster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLAE_LAUNCHER", "local")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """Its configuration; skipped with the reason where it cannot be."""
    if missing():
        pytest.skip(missing())
    try:
        with one_node_slurm(tmp_path_factory.mktemp("slurm")) as configuration:
            yield configuration
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture
def launched_by(request, folder, monkeypatch) -> str:
    """The launcher's name."""
    monkeypatch.setenv("VLAE_LAUNCHER", request.param)
    if request.param == "slurm":
        monkeypatch.setenv("SLURM_CONF", request.getfixturevalue("slurm"))
    return request.param


def eventually(happens: Callable[[], T]) -> T:
    """What `happens` returns, once it is true."""
    for _ in range(15_000):  # five minutes: a busy machine is slow
        if result := happens():
            return result
        time.sleep(0.02)
    pytest.fail("it does not happen")


def once(happens: Callable[[], object], act: Callable[[], object]) -> None:
    """Call `act`, in a thread, once something happens."""
    threading.Thread(target=lambda: (eventually(happens), act()), daemon=True).start()


def test_without_a_launcher_the_work_is_done_here(folder, monkeypatch):
    monkeypatch.delenv("VLAE_LAUNCHER")
    done = []
    launch(lambda: done.append(os.getpid()), "work", folder / "jobs")
    assert done == [os.getpid()]
    assert not (folder / "jobs").exists()


def test_a_job_is_done_elsewhere_and_its_logs_are_named(folder, capfd):
    work = functools.partial(exec, "import os, sys; sys.stderr.write('said by %d' % os.getpid())")
    launch(work, "work", folder / "jobs")
    (logs,) = (folder / "jobs").iterdir()
    errors = capfd.readouterr().err
    assert f"its logs are in {logs}" in errors
    assert "said by" in errors
    assert f"said by {os.getpid()}" not in errors


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (functools.partial(load_params, "absent.yaml"), FileNotFoundError, "absent.yaml"),
        (functools.partial(exec, "from pipeline.schema import *; raise ParamError('zap')"), ParamError, "zap"),
        (functools.partial(operator.truediv, 1, 0), ChildProcessError, r"job \d+ failed; its logs are in"),
        (functools.partial(os._exit, 3), ChildProcessError, "without a result.*the same command goes on"),
    ],
)
def test_what_goes_wrong_in_a_job_is_raised_where_it_is_waited_for(folder, work, error, message):
    with pytest.raises(error, match=message):
        launch(work, "work", folder / "jobs")


WAITS = functools.partial(
    exec,
    "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); "
    "pathlib.Path('began').touch(); time.sleep(60)",
)


@pytest.mark.parametrize("launched_by", ["local", "slurm"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_waiting_stage_ends_its_job(folder, launched_by, capfd, number):
    before = signal.getsignal(signal.SIGINT)
    once((folder / "began").exists, lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        launch(WAITS, "work", folder / "jobs")
    assert "cancelled; the same command goes on" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
    eventually(lambda: not Path(f"/proc/{(folder / 'pid').read_text()}").exists())


@pytest.mark.parametrize("launched_by", ["slurm"], indirect=True)
def test_a_job_cancelled_from_elsewhere_is_named(folder, launched_by):
    once((folder / "began").exists, lambda: subprocess.run(["scancel", "--name=work"], check=True))
    with pytest.raises(ChildProcessError, match=r"job \d+ was cancelled; the same command goes on"):
        launch(WAITS, "work", folder / "jobs")


@pytest.mark.parametrize("launched_by", ["slurm"], indirect=True)
def test_what_sbatch_refuses_is_told(folder, launched_by, capfd):
    (folder / "cluster.yaml").write_text("{partition: nowhere, minutes: 60, gpus: 0, sbatch: []}")
    with pytest.raises(ChildProcessError, match=r"cannot submit work: .*invalid partition specified: nowhere"):
        launch(WAITS, "work", folder / "jobs")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("partition", "partitoin", "cluster.yaml.partitoin: unknown key; allowed: partition, minutes, gpus, sbatch"),
        ("minutes: 1440", "minutes: 0", "cluster.yaml.minutes = 0: must be at least 5"),
        ("gpus: 0", "gpus: 2", "cluster.yaml.gpus = 2: must be from 0 to 1"),
        ("--mem", "mem", r"cluster.yaml.sbatch\[1\] = 'mem=4G': must be an option of sbatch"),
        ("partition: null", "partition: [", "cluster.yaml is not valid YAML"),
    ],
)
def test_what_is_wrong_in_cluster_yaml_is_refused_by_name(folder, right, wrong, message):
    path = folder / "cluster.yaml"
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    with pytest.raises(ParamError, match=message):
        launch(functools.partial(print), "work", folder / "jobs")
    assert not (folder / "jobs").exists()


def test_another_launcher_is_refused_by_name(folder, monkeypatch):
    monkeypatch.setenv("VLAE_LAUNCHER", "pbs")
    with pytest.raises(ParamError, match="VLAE_LAUNCHER = 'pbs': must be local, slurm or unset"):
        launch(functools.partial(print), "work", folder / "jobs")


def test_where_there_is_no_slurm_it_is_said_so(folder, monkeypatch):
    monkeypatch.setenv("VLAE_LAUNCHER", "slurm")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ChildProcessError, match='cannot submit work: Could not detect "srun"'):
        launch(functools.partial(print), "work", folder / "jobs")


@pytest.mark.parametrize(("number", "sittings"), [(signal.SIGTERM, 2), (signal.SIGINT, 1)])
def test_work_that_stops_at_sigterm_goes_on_and_at_sigint_ends(monkeypatch, number, sittings):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    done = []

    def work():
        done.append(1)
        if len(done) == 1:
            sys.exit(128 + number)

    with pytest.raises(SystemExit) if sittings == 1 else contextlib.nullcontext():
        assert Resumable(work)() is None
    assert len(done) == sittings


def test_an_evaluation_is_a_job_too(folder):
    write_project(folder)
    command = [sys.executable, "-m", "stages.evaluate", "--dataset", "mnist5k", "--model", "vae"]
    answer = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert answer.returncode == 1
    assert "evaluate-mnist5k-vae-seed0 is job" in answer.stderr
    assert answer.stderr.splitlines()[-1].startswith("error: runs/mnist5k/vae/seed0 holds no trained model")


MODELS = ("vlae", "vae")


def weights(project: Path, model: str) -> bytes:
    return (project / "runs/mnist5k" / model / "seed0/model.safetensors").read_bytes()


@pytest.fixture(scope="session")
def expected(tmp_path_factory) -> dict[str, bytes]:
    """The weights of trainings that run here and undisturbed."""
    project = tmp_path_factory.mktemp("local")
    write_project(project)
    with contextlib.chdir(project):
        params = load_params()
        for model in MODELS:
            training.run(params, params.model(model, "binary"), binary_dataset(), model, 0, None)
    return {model: weights(project, model) for model in MODELS}


def start(project: Path, model: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "stages.train", "--dataset", "mnist5k", "--model", model]
    return subprocess.Popen(command, stderr=(project / f"{model}.err").open("w"))


def job_of(project: Path, model: str) -> str:
    """Of a stage that waits, once it has said so."""
    return eventually(lambda: re.search(r"is job (\d+); its logs", (project / f"{model}.err").read_text()))[1]


@pytest.mark.parametrize("launched_by", ["local", "slurm"], indirect=True)
def test_a_training_told_to_save_itself_is_queued_again_and_ends_in_the_same_bits(
    folder, launched_by, expected, monkeypatch
):
    write_project(folder)
    stages = {}
    for model, signal_name in (("vlae", "USR2"), ("vae", "TERM")):
        monkeypatch.setenv("VLAE_CHECKPOINTS", str(folder / f"of_{model}"))
        stages[model] = start(folder, model)
        job = job_of(folder, model)
        eventually(lambda: list(Path(os.environ["VLAE_CHECKPOINTS"]).glob("*.pt")))
        tell(launched_by, job, signal_name)
    for model, stage in stages.items():
        errors = folder / f"{model}.err"
        assert stage.wait(300) == 0, errors.read_text()
        assert weights(folder, model) == expected[model]
        assert re.search(r"going on after step \d+ of 60", errors.read_text())


def tell(launcher: str, job: str, signal_name: str) -> None:
    """What a cluster sends a job: SIGUSR2 before its time is over, SIGTERM before it has to make room."""
    if launcher == "slurm":
        subprocess.run(["scancel", f"--signal={signal_name}", job], check=True)
        return
    (child,) = Path(f"/proc/{job}/task/{job}/children").read_text().split()
    os.kill(int(child), signal.Signals[f"SIG{signal_name}"])


def test_a_state_that_a_job_passes_through_when_it_is_queued_again_is_not_its_end(monkeypatch, tmp_path):
    states = iter(["RUNNING", "FAILED", "PENDING", "RUNNING", *9 * ["TIMEOUT"]])
    monkeypatch.setattr(launching, "_state", lambda job: next(states))
    monkeypatch.setattr(launching, "_result", lambda job: tmp_path / "none")
    monkeypatch.setattr(launching, "time", SimpleNamespace(monotonic=count().__next__, sleep=lambda seconds: None))
    assert launching._wait(SimpleNamespace(paths=SimpleNamespace(stderr=tmp_path / "none")), []) == "TIMEOUT"
