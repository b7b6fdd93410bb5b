"""Where a training runs: here, or as a job that its stage submits, through submitit, and waits for.

`VLAE_LAUNCHER` unset: here. `slurm`: in the queue of a cluster, as cluster.yaml says. `local`: as a job of this
machine, to try what is to run on a cluster. DVC sees no difference: the stage ends when its job does.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import submitit

from pipeline.config import read_yaml
from pipeline.schema import Form, ParamError, Range, from_mapping, refusal
from stages.resumable import Resumable

SIGNAL_SECONDS = 60
"""So long before its time is over a job is told to save itself; Slurm may do so a minute earlier."""
MOST_TIMEOUTS = 10_000
"""Each sitting goes on from the one before, so there is no reason to give up."""
GONE = "GONE"
ENDED = (GONE, "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")
"""States of Slurm from which a job does not come back, and that of one which Slurm has forgotten."""
SETTLED_SECONDS = 5
"""Such a state is believed when it is still there so long after: a job that is queued again passes through FAILED."""


@dataclass(frozen=True)
class Cluster:
    """cluster.yaml: what a job asks for."""

    partition: str | None
    minutes: Annotated[int, Range(5)]
    gpus: Annotated[int, Range(0, 1)]
    sbatch: tuple[Annotated[str, Form(r"--[a-z][a-z-]*(=.+)?", 'an option of sbatch such as "--account=vision"')], ...]


def launch(work: Callable[[], None], name: str, jobs: Path) -> None:
    """Do `work` where `VLAE_LAUNCHER` says, and return when it is done.

    A job is called `name`, and has a folder in `jobs`, which must be on a file system that all machines share.

    Raises what `work` raises if its user can mend it, ChildProcessError if the job was cancelled or failed otherwise,
    KeyboardInterrupt after Ctrl-C or SIGTERM, which cancel it, ParamError for an unknown launcher or bad cluster.yaml.
    """
    launcher = os.environ.get("VLAE_LAUNCHER")
    if not launcher:
        work()
        return
    if launcher not in ("local", "slurm"):
        raise ParamError(refusal("VLAE_LAUNCHER", launcher, "local, slurm or unset"))
    cluster = from_mapping(Cluster, read_yaml("cluster.yaml"), "cluster.yaml")
    jobs.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=jobs))
    if sys.stderr.isatty():
        os.environ["VLAE_PROGRESS"] = "shown"  # the job's bar, too, is copied to here
    with _interruptions() as interruptions:
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit says twice what is wrong
                job = _executor(launcher, cluster, folder, name).submit(Resumable(work))
        except RuntimeError as error:
            raise ChildProcessError(f"cannot submit {name}: {error}") from error
        print(f"{name} is job {job.job_id}; its logs are in {folder}", file=sys.stderr)
        state = _wait(job, interruptions)
    _conclude(job, state)


def _executor(launcher: str, cluster: Cluster, folder: Path, name: str) -> submitit.Executor:
    executor: submitit.Executor
    if launcher == "local":
        executor = submitit.LocalExecutor(folder, max_num_timeout=MOST_TIMEOUTS)
        executor.update_parameters(
            timeout_min=cluster.minutes, gpus_per_node=cluster.gpus, signal_delay_s=SIGNAL_SECONDS
        )
        return executor
    options = (option.removeprefix("--").partition("=") for option in cluster.sbatch)
    executor = submitit.SlurmExecutor(folder, max_num_timeout=MOST_TIMEOUTS)
    executor.update_parameters(
        job_name=name,
        partition=cluster.partition,
        time=cluster.minutes,
        gpus_per_node=cluster.gpus or None,
        signal_delay_s=SIGNAL_SECONDS,
        srun_args=[option for option in cluster.sbatch if option.startswith("--cpus-per-task=")],  # not taken over
        additional_parameters={"requeue": True} | {key: value or True for key, _, value in options},
    )
    return executor


@contextlib.contextmanager
def _interruptions() -> Iterator[list[int]]:
    """Notes Ctrl-C and SIGTERM instead of raising, so that no job is submitted and then forgotten."""
    noted: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda number, frame: noted.append(number))
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(job: submitit.Job[Any], interruptions: list[int]) -> str:
    """Copy what the job says to stderr until it ends, or cancel it if interrupted; its state at the end."""
    started = asked = time.monotonic()
    copied, state = 0, "PENDING"
    while not interruptions:
        now, ended = time.monotonic(), False
        seldom = SETTLED_SECONDS if state in ENDED else min(60, max(1, (now - started) / 10))
        if now - asked >= seldom:  # many stages may ask one controller
            before, state, asked = state, _state(job), now
            ended = before in ENDED and state in ENDED
        ended = ended or _result(job).exists()
        copied = _copy(job.paths.stderr, copied)
        if ended:
            return state
        time.sleep(0.5)
    job.cancel(check=False)
    print(f"job {job.job_id} cancelled; the same command goes on from its checkpoint", file=sys.stderr)
    raise KeyboardInterrupt


def _state(job: submitit.Job[Any]) -> str:
    """Of Slurm by squeue, not by sacct, which not every cluster has; RUNNING if Slurm does not answer."""
    if isinstance(job, submitit.LocalJob):
        return "RUNNING" if job.state == "RUNNING" else GONE
    command = ["squeue", "--me", "--noheader", "--states=all", "--format=%A %T"]
    answer = subprocess.run(command, capture_output=True, encoding="utf-8")
    if answer.returncode:
        return "RUNNING"
    return dict(line.split() for line in answer.stdout.splitlines()).get(job.job_id, GONE)


def _result(job: submitit.Job[Any]) -> Path:
    """Where the job puts its result, after making a network file system look anew."""
    folder = job.paths.folder
    folder.chmod(folder.stat().st_mode)
    return job.paths.result_pickle


def _copy(log: Path, start: int) -> int:
    """Write what a log has after byte `start` to stderr; where it ends now."""
    if not log.exists():
        return start
    with log.open("rb") as file:
        file.seek(start)
        text = file.read()
    sys.stderr.write(text.decode(errors="replace"))
    sys.stderr.flush()
    return start + len(text)


def _conclude(job: submitit.Job[Any], state: str) -> None:
    """Raise what is wrong with a job that has ended, if anything is."""
    logs = f"its logs are in {job.paths.folder}"
    if not _result(job).exists():
        how = {"CANCELLED": "was cancelled", GONE: "ended without a result"}.get(state, f"ended as {state}")
        raise ChildProcessError(f"job {job.job_id} {how}; the same command goes on from its checkpoint; {logs}")
    if job.exception() is not None:
        raise ChildProcessError(f"job {job.job_id} failed; {logs}")
    error = job.result()
    if error is not None:
        raise error
