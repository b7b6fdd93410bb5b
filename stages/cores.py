"""How many cores there are to give, and how many processes to run side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.schema import ParamError, refusal

CGROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def jobs() -> int:
    """$JOBS, by default one for each core; a warning on stderr if it is more, ParamError if it is no such number."""
    wanted, there = os.environ.get("JOBS", ""), cores()
    if not wanted:
        return there
    if not (wanted.isascii() and wanted.isdigit() and int(wanted)):
        raise ParamError(refusal("JOBS", wanted, "how many processes to run side by side, at least 1"))
    if int(wanted) > there and not os.environ.get("VLAE_LAUNCHER"):  # jobs of a cluster have other cores
        print(f"JOBS={wanted}, and there are {there} cores: on a CPU, more than that only wait", file=sys.stderr)
    return int(wanted)


def cores() -> int:
    """The cores this process may use: those that it is bound to, or fewer by the quota of its control group."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *_quotas()]))


def _quotas() -> Iterator[int]:
    """Whole cores that Linux control groups allow, of version 2 (cpu.max) and 1: this process's and those above it."""
    try:
        entries = [line.split(":", 2) for line in MEMBERSHIP.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return
    for _, controllers, path in entries:
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = CGROUPS / "cpu" if controllers else CGROUPS
        own = mount / path.strip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(mount):
                yield from _quota(folder)


def _quota(folder: Path) -> Iterator[int]:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="utf-8").strip() for name in ("quota", "period")
            )
    except OSError:
        return
    if quota not in ("max", "-1"):
        yield int(quota) // int(period)
