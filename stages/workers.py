"""Who computes the shards of a training's batches: the processes that torchrun started, or threads of this one."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from pipeline.schema import ParamError, refusal
from pipeline.training.workers import Processes, Workers

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for one that does not answer; of one that ends the others hear at once."""


def resolve_workers(device: str, shards: int) -> tuple[torch.device, Workers]:
    """The device of this process, and the workers; ParamError if the shards do not go round.

    Threads, on a CPU: $VLAE_WORKERS, by default as many as this process may use cores, or 1 of each of several
    processes.
    """
    several = dist.is_torchelastic_launched()
    if not several:
        return torch.device(device), Workers(_threads(device, shards, len(os.sched_getaffinity(0))))
    if shards % int(os.environ["WORLD_SIZE"]):
        allowed = f"a multiple of the {os.environ['WORLD_SIZE']} processes that torchrun started"
        raise ParamError(refusal("training.shards", shards, allowed))
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo", timeout=TIMEOUT)
    return torch.device(device), Processes(_threads(device, shards, 1))


def _threads(device: str, shards: int, default: int) -> int:
    asked = os.environ.get("VLAE_WORKERS", str(default))
    if not asked.isdecimal() or asked == "0":
        raise ParamError(refusal("VLAE_WORKERS", asked, "a number of threads, at least 1"))
    return min(shards, int(asked)) if device == "cpu" else 1
