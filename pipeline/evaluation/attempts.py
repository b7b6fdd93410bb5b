"""Measures without which an evaluation is still one: what goes wrong with one is noted, and the others are taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class Attempts:
    """Takes measures; `missing` names those that could not be taken, with the reason."""

    missing: list[str] = field(default_factory=list)

    def take(self, name: str, measure: Callable[[], T], otherwise: T) -> T:
        """What `measure` gives, or `otherwise` if it raises anything: a training of hours must not be lost for it."""
        try:
            return measure()
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            log.warning("not measured: %s (%s)", name, reason)
            self.missing.append(f"{name} ({reason})")
            return otherwise
