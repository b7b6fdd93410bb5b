"""A Slurm of one node in a folder: its daemons run as long as the context lasts, and touch nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

REQUEUE_SECONDS = 10
"""So long Slurm waits before it runs a queued job again, and lets no job with that number begin; its default: 120."""
DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthInfo=socket={folder}/munge/socket,cred_expire={seconds}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SchedulerParameters=sched_interval=1
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=16000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no Slurm here; empty if there can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    absent = [name for name in (*DAEMONS, "sbatch") if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (Debian: slurm-wlm, munge)" if absent else ""


@contextlib.contextmanager
def one_node_slurm(folder: Path) -> Iterator[str]:
    """The path of a slurm.conf, for $SLURM_CONF; RuntimeError with what the daemons say if the node does not come up.

    The machine must have at least two cores for two jobs at once, else they take turns.
    """
    munge, host, configuration = folder / "munge", socket.gethostname().partition(".")[0], folder / "slurm.conf"
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir()
    (munge / "key").write_bytes(os.urandom(1024))
    (munge / "key").chmod(0o400)
    values = {"folder": folder, "host": host, "ports": _free_ports(), "cores": os.cpu_count()}
    configuration.write_text(CONFIGURATION.format(**values, seconds=REQUEUE_SECONDS))
    files = [f"--{name}-file={munge / name}" for name in ("key", "pid", "log", "seed")]
    commands = (
        ["munged", "--foreground", "--force", f"--socket={munge}/socket", *files],
        ["slurmctld", "-D", "-f", str(configuration)],
        ["slurmd", "-D", "-N", host, "-f", str(configuration)],
    )
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    with contextlib.ExitStack() as running:
        log = running.enter_context((folder / "log").open("w"))
        for command in commands:
            running.callback(_end, subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        _wait_until_idle(folder / "log", environment)
        running.callback(_cancel_all, environment)
        yield str(configuration)


def _free_ports() -> list[int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return [first.getsockname()[1], second.getsockname()[1]]


def _wait_until_idle(log: Path, environment: dict[str, str]) -> None:
    state = ["sinfo", "--noheader", "--format=%T"]
    for _ in range(300):
        if subprocess.run(state, env=environment, capture_output=True).stdout == b"idle\n":
            return
        time.sleep(0.1)
    raise RuntimeError("Slurm does not come up here: " + log.read_text()[-1000:])


def _cancel_all(environment: dict[str, str]) -> None:
    """Also those of a test that failed, and wait until none is left."""
    subprocess.run(["scancel", "--user=root"], env=environment)
    for _ in range(100):
        if not subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True).stdout:
            return
        time.sleep(0.1)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
