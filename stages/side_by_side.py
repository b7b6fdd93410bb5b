"""Commands that wait for each other, several at once; where one fails, or at Ctrl-C, the others are stopped."""

from __future__ import annotations

import selectors
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stages.cores import cores
from stages.running import Running
from stages.screen import Screen
from stages.stopping import stop_signals

LOOK = 0.5
"""Seconds between two looks, where nobody says anything."""


@dataclass(frozen=True)
class Task:
    """A command, the names of the tasks that it needs, and whether it has nothing to do once these are done."""

    name: str
    kind: str
    command: Sequence[str]
    needs: frozenset[str]
    is_done: Callable[[], bool]


class TaskError(Exception):
    """A task failed; the message names it."""


class SideBySide:
    """`tasks`, `at_once` at a time; those first on which most others wait."""

    def __init__(self, tasks: Sequence[Task], at_once: int, screen: Screen) -> None:
        self.waiting = sorted(tasks, key=lambda task: -len(_followers(task.name, tasks)))
        self.at_once, self.screen = at_once, screen
        self.totals, self.begun = Counter(task.kind for task in tasks), Counter[str]()
        self.done: set[str] = set()
        self.running: list[Running] = []
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Until all are done. TaskError if one fails, KeyboardInterrupt at Ctrl-C or SIGTERM, once all have ended."""
        try:
            with stop_signals() as stop:
                while (self.waiting or self.running) and not stop():
                    self._start()
                    for ended in self._look(self._tell):
                        self._finish(ended)
                if stop():
                    raise KeyboardInterrupt
        finally:
            self._stop()

    def _start(self) -> None:
        """Start what can be, as far as there is room."""
        while len(self.running) < self.at_once and (task := self._next()):
            self.waiting.remove(task)
            self.begun[task.kind] += 1
            if task.is_done():
                self.done.add(task.name)
                continue
            total = self.totals[task.kind]
            title = f"{task.kind} {self.begun[task.kind]} of {total}: " if total > 1 else ""
            alone = not self.waiting and not self.running
            own = min(self.at_once, cores()) if alone else 1
            self.running.append(Running(task.name, title, task.command, own))
            self.selector.register(self.running[-1].output, selectors.EVENT_READ, self.running[-1])

    def _next(self) -> Task | None:
        return next((task for task in self.waiting if task.needs <= self.done), None)

    def _look(self, tell: Callable[[Running, list[str]], None]) -> list[Running]:
        """Those that have ended, once what all had to say is told and how far they are is drawn."""
        ended = []
        for key, _ in self.selector.select(LOOK):
            running: Running = key.data
            lines, over = running.read()
            tell(running, lines)
            if over:
                self.selector.unregister(running.output)
                self.running.remove(running)
                ended.append(running)
        self.screen.draw([f"{running.title}{running.name} {running.bar}" for running in self.running])
        return ended

    def _tell(self, running: Running, lines: list[str]) -> None:
        for line in lines:
            self.screen.tell(f"{running.name}: {line}")

    def _finish(self, ended: Running) -> None:
        if status := ended.end():
            raise TaskError(f"{ended.name} failed with status {status}: {ended.last}")
        self.done.add(ended.name)
        self.screen.tell(f"{ended.title}{ended.name} done in {time.monotonic() - ended.started:.0f} s")

    def _stop(self) -> None:
        """Interrupt those that run, and tell the last that each has to say."""
        for running in self.running:
            running.interrupt()
        while self.running:
            for ended in self._look(lambda *_: None):
                ended.end()
                self._tell(ended, [ended.last])


def _followers(name: str, tasks: Sequence[Task]) -> set[str]:
    """The tasks that wait for `name`, or for one that does."""
    direct = {task.name for task in tasks if name in task.needs}
    return direct.union(*(_followers(one, tasks) for one in direct))
