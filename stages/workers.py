"""Who computes the shards of a training's batches: the processes that torchrun started, or threads of this one."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from pipeline.schema import ParamError, refusal
from pipeline.training.workers import Processes, Workers
from stages.cores import cores

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for one that does not answer; of one that ends the others hear at once."""


def resolve_workers(device: str, shards: int) -> tuple[torch.device, Workers]:
    """The device of this process, and the workers; ParamError if the shards do not go round.

    Threads, on a CPU: $VLAE_WORKERS, by default as many as there are cores, or 1 of each of several processes.
    """
    several = dist.is_torchelastic_launched()
    threads = _threads(1 if several else cores()) if device == "cpu" else 1
    if not several:
        return torch.device(device), Workers(min(shards, threads))
    processes, number = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    if shards % processes:
        allowed = f"a multiple of {processes}, as many processes as torchrun started"
        raise ParamError(refusal("training.shards", shards, allowed))
    if device == "cuda":
        device = _gpu(number)
    dist.init_process_group("gloo" if device == "cpu" else "cpu:gloo,cuda:nccl", timeout=TIMEOUT)
    return torch.device(device), Processes(threads)


def _gpu(number: int) -> str:
    """That of the process of this number on this machine."""
    gpus = torch.cuda.device_count()
    if number >= gpus:
        asked = os.environ["LOCAL_WORLD_SIZE"]
        raise ParamError(refusal("--nproc-per-node", asked, f"at most {gpus}, as many as there are GPUs"))
    torch.cuda.set_device(number)
    return f"cuda:{number}"


def _threads(default: int) -> int:
    asked = os.environ.get("VLAE_WORKERS", str(default))
    if not (asked.isascii() and asked.isdigit() and int(asked)):
        raise ParamError(refusal("VLAE_WORKERS", asked, "how many threads compute shards, at least 1"))
    return int(asked)
