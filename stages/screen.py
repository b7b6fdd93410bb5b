"""Lines that stay, above lines that change where there is a terminal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import TextIO

EVERY = 60.0
"""Seconds between two looks at what changes, where there is no terminal."""


class Screen:
    """What is told on `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.live = stream, stream.isatty()
        self.drawn, self.told = 0, time.monotonic()

    def tell(self, line: str) -> None:
        """A line that stays."""
        self._clear()
        self._write([line])

    def draw(self, lines: Sequence[str]) -> None:
        """The lines that change: on a terminal in place of the last ones, elsewhere now and then."""
        self._clear()
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self._write([line[:width] for line in lines])
            self.drawn = len(lines)
        elif time.monotonic() - self.told > EVERY:
            self._write(lines)
            self.told = time.monotonic()

    def _clear(self) -> None:
        if self.drawn:
            self.stream.write(f"\x1b[{self.drawn}F\x1b[J")
        self.drawn = 0

    def _write(self, lines: Sequence[str]) -> None:
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()
