"""C++ for the CPU: compiled once on the user's machine, and called on equal parts of the work at once."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.caches import user_cache

log = logging.getLogger(__name__)

SOURCES = Path(__file__).with_name("cpp")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-Wno-psabi")


@cache
def library(source: str, **constants: int) -> ctypes.CDLL | None:
    """cpp/`source` compiled with these constants, from the user's cache folder if it is there.

    None, and a warning, where there is no working compiler.
    """
    try:
        return ctypes.CDLL(str(_compiled(SOURCES / source, constants)))
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder
        log.warning("%s is not used; what it does goes operation by operation, more slowly: %s", source, error)
        return None


def _compiled(source: Path, constants: dict[str, int]) -> Path:
    compilers = [path for path in map(shutil.which, ("c++", "g++", "clang++")) if path]
    if not compilers:
        raise OSError("no C++ compiler")
    command = [compilers[0], *FLAGS, *(f"-D{name}={value}" for name, value in constants.items())]
    code = b"".join(file.read_bytes() for file in (source, *sorted(SOURCES.glob("*.h"))))
    folder = user_cache() / "compiled"
    path = folder / f"{hashlib.sha256(repr((command, _processor())).encode() + code).hexdigest()[:32]}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            made = Path(temporary) / "made.so"
            result = subprocess.run(
                [*command, str(source), "-o", str(made)], capture_output=True, encoding="utf-8", errors="replace"
            )
            if result.returncode:
                raise OSError(f"{compilers[0]}: {result.stderr.strip()[:200]}")
            made.replace(path)
    return path


def _processor() -> str:
    """What decides which instructions the compiler may use, and which libraries the result needs."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return f"{platform.machine()} {platform.libc_ver()} {flags}"


class Compiled:
    """The function `name` of cpp/`source`, compiled with `constants`; of these argument types, and without a result."""

    def __init__(self, source: str, name: str, types: Sequence[Any], **constants: int) -> None:
        self.source, self.name, self.types, self.constants = source, name, types, constants

    @property
    def function(self) -> Callable[..., None] | None:
        """None where there is no working compiler."""
        compiled = library(self.source, **self.constants)
        if compiled is None:
            return None
        function = compiled[self.name]  # not shared, unlike an attribute
        function.argtypes, function.restype = self.types, None
        return function

    def call(self, *arguments: Any) -> None:
        """Call it, where there is a compiler."""
        function = self.function
        assert function is not None
        function(*arguments)

    def takes(self, network: nn.Module) -> bool:
        """Whether it can work on this network: not on a GPU, nor while hooks have to see the layers."""
        weight = next(network.parameters())
        on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
        return on_cpu and not any(part._forward_hooks for part in network.modules()) and self.function is not None


def checked(values: Tensor, *shape: int) -> Tensor:
    """Whose address may be given away; ValueError unless they are float32 of this shape, contiguous on the CPU."""
    if values.dtype != torch.float32 or values.device.type != "cpu" or not values.is_contiguous():
        raise ValueError(f"{values.dtype} on {values.device}: must be contiguous torch.float32 on the CPU")
    if values.shape != shape:
        raise ValueError(f"numbers of shape {tuple(values.shape)}: must be {shape}")
    return values


def in_parts(count: int, work: Callable[[slice, int], None]) -> None:
    """`work` on as many equal parts of `count` items as torch has threads, at once; given the part and its number."""
    threads = torch.get_num_threads()
    bounds = [count * number // threads for number in range(threads + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(bounds)]
    others = [_pool(threads).submit(work, part, number) for number, part in enumerate(parts[1:], 1)]
    work(parts[0], 0)
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork; threads do not survive one
    os.register_at_fork(after_in_child=_pool.cache_clear)
