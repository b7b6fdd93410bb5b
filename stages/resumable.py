"""What a job of submitit runs: work that, told to make room, saves itself and goes on another time."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from submitit.core.utils import DelayedSubmission

from stages import MENDABLE


@dataclass(frozen=True)
class Resumable:
    """Work as a job does it, which may save itself when interrupted: submitit pickles and calls this.

    SIGUSR2, which Slurm sends before the time is over: it saves, and the job is queued again. SIGTERM, which comes
    before preemption and after scancel: it saves and goes on, for a job that ends by itself is not queued again.
    """

    work: Callable[[], None]

    def __call__(self) -> Exception | None:
        """Do the work; an error that its user can mend is returned, for the waiting stage to raise."""
        queue_again: Any = signal.getsignal(signal.SIGUSR2)
        asked: list[int] = []

        def interrupt(number: int, frame: object) -> None:
            if not asked:
                asked.append(number)
                signal.raise_signal(signal.SIGINT)

        signal.signal(signal.SIGUSR2, interrupt)
        while True:
            try:
                self.work()
                signal.signal(signal.SIGUSR2, signal.SIG_IGN)
                return None
            except MENDABLE as error:
                return error
            except (KeyboardInterrupt, SystemExit) as stopped:
                if asked:
                    queue_again(signal.SIGUSR2, None)  # which exits
                if getattr(stopped, "code", None) != 128 + signal.SIGTERM:
                    raise

    def checkpoint(self) -> DelayedSubmission:
        """What submitit is to do once the job runs again: the same, which goes on."""
        return DelayedSubmission(self)
