"""Checkpoints that only the very same training picks up again.

A file per fingerprint of (parameters, data, code of model and loop, torch version), outside DVC's outputs and at an
absolute path, so that queued and temporary experiments, which run in folders of their own, find it too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from pipeline.caches import user_cache

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]
LEFT = 60
"""Seconds after which a half-written file is taken for one of a killed run: writing takes a few."""
ELSEWHERE = "set VLAE_CHECKPOINTS to a folder that can be written to"
CODE = ("models/*.py", "fast/*.py", "fast/cpp/*", "models/native/*", "training/*.py", "seeding.py")
"""`models/native/` is where C++ lay in the commits that some models were trained at."""


def checkpoint_path(identity: dict[str, Any]) -> Path:
    """Where the training with this `identity` (anything JSON) keeps its checkpoint; OSError if there is no place."""
    return checkpoint_folder() / f"{fingerprint(identity)}.pt"


def checkpoint_folder() -> Path:
    """$VLAE_CHECKPOINTS, or vlae/checkpoints in the user's cache folder; OSError if there is neither."""
    try:
        folder = Path(os.environ.get("VLAE_CHECKPOINTS") or user_cache() / "checkpoints")
    except RuntimeError as error:
        raise OSError(f"no folder for checkpoints is known ({error}); {ELSEWHERE}") from error
    return folder.absolute()


def require_writable(path: Path) -> None:
    """Find out before the first step whether a checkpoint can be written at `path`; OSError if not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(f"{path.parent}: no checkpoint can be written there ({error.strerror}); {ELSEWHERE}") from error


def fingerprint(identity: dict[str, Any]) -> str:
    """SHA-256 over `identity`, the source code that decides the weights, and the torch version."""
    parts = [identity, torch.__version__, code_sha256()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def code_sha256() -> str:
    """SHA-256 over the source code that decides the weights: the files of `CODE`, by name."""
    files = sorted(file for pattern in CODE for file in PACKAGE.glob(pattern))
    return hash_code({file.relative_to(PACKAGE).as_posix(): file.read_bytes() for file in files})


def hash_code(files: dict[str, bytes]) -> str:
    """SHA-256 over files by their names below pipeline/: what `code_sha256` is of those that lie there."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])}\n".encode() + files[name])
    return digest.hexdigest()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{path.stem}.*.partial"):  # of a run that was killed, or of one beside this
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > LEFT:
                leftover.unlink()
    partial = path.with_suffix(f".{os.getpid()}.partial")
    torch.save(state, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state at `path`, on the CPU, or None if there is none; one that is damaged is named and set aside.

    Only tensors and plain values are read, no pickled objects. OSError if the file is there but cannot be read now.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except (RuntimeError, EOFError, IndexError, ValueError, pickle.UnpicklingError) as error:
        aside = path.replace(path.with_suffix(".damaged"))
        reason = str(error).partition("\n")[0] or type(error).__name__
        log.warning("%s: damaged (%s); the training starts anew", aside, reason)
        return None
