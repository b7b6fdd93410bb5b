"""The training code as it was at a commit of this repository, read from git without checking it out."""

from __future__ import annotations

import subprocess
from fnmatch import fnmatch

from pipeline.training.checkpoints import CODE, hash_code

PACKAGE = "pipeline/"


def code_sha256_at(commit: str | None) -> str | None:
    """`code_sha256` of the files at `commit`; None unless HEAD descends from it, so that whoever has HEAD has it."""
    if commit is None or not _is_ancestor(commit):
        return None
    listed = _output("ls-tree", "-r", "-z", "--name-only", commit, PACKAGE).decode().split("\0")
    names = [name for name in (path.removeprefix(PACKAGE) for path in listed) if _is_code(name)]
    return hash_code({name: _output("show", f"{commit}:./{PACKAGE}{name}") for name in names})


def _is_ancestor(commit: str) -> bool:
    command = ["git", "merge-base", "--is-ancestor", commit, "HEAD"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _is_code(name: str) -> bool:
    """Whether one of the patterns of `CODE` means this file; their * does not cross a folder."""
    return any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in CODE)


def _output(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout
