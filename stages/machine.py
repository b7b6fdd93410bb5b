"""What this machine and this checkout are: device, precision, processor, commit."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.config import TrainingConfig
from pipeline.schema import ParamError


def resolve_device(device: str) -> str:
    """`auto` as what this machine has; ParamError if it has no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ParamError("training.device = 'cuda': must be auto or cpu where no CUDA device is found")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def exact_device(training: TrainingConfig) -> torch.device:
    """Where to evaluate, in float32 and no less, with one thread."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    return torch.device(resolve_device(training.device))


def resolve_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16; `auto`: where the GPU or the processor has instructions for it."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tell = getattr(torch.cpu, "get_capabilities", dict)  # torch that cannot tell computes in float32
    capabilities: Mapping[str, Any] = tell()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def processor() -> str:
    """Name of the CPU."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def commit() -> str | None:
    """The commit checked out here, whether or not files differ from it; None outside a repository, or without git."""
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8")
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
