"""Where what is kept between runs lies: checkpoints and compiled code."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The folder vlae in $XDG_CACHE_HOME, or in .cache of the home folder; RuntimeError if there is no home folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlae"
