"""A command that runs, what it says, and how far its progress bar is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence

BAR = re.compile(r" *\d+%\|")
"""How a line of tqdm starts."""


class Running:
    """A command in a session of its own: a signal reaches it and its children, and Ctrl-C only who started it.

    It may have `jobs` processes itself.
    """

    def __init__(self, name: str, title: str, command: Sequence[str], jobs: int) -> None:
        self.name, self.title, self.started = name, title, time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | {"VLAE_PROGRESS": "shown", "JOBS": str(jobs)}, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.bar = self.last = ""
        self._unread = b""

    def read(self) -> tuple[list[str], bool]:
        """Wait for lines and return them, without bars, of which the newest is kept; and whether that was all."""
        chunk = os.read(self.output.fileno(), 1 << 16)
        *whole, rest = (self._unread + chunk).split(b"\n")
        self._unread = rest[rest.rfind(b"\r") + 1 :]
        for bar in filter(BAR.match, map(_shown, (*whole, self._unread))):
            self.bar = bar
        lines = [line for line in map(_shown, whole if chunk else [self._unread]) if line and not BAR.match(line)]
        self.last = lines[-1] if lines else self.last
        return lines, not chunk

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Its status, once it has said all."""
        self.output.close()
        return self.process.wait()


def _shown(line: bytes) -> str:
    """What a terminal would show of it: what follows the last return to the beginning of the line."""
    return line.decode(errors="replace").rstrip().rpartition("\r")[2]
