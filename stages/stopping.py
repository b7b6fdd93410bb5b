"""Ctrl-C and SIGTERM as a wish to stop: a training ends its step, saves itself and goes on another time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether a signal came, and which: `number` is 0 until then."""

    number = 0

    def __call__(self) -> bool:
        return self.number > 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; the next one of its kind ends the process at once."""
        self.number = number
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Notes SIGINT and SIGTERM instead of dying of them; only in the main thread."""
    stop = Stop()
    before = {number: signal.signal(number, stop.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
