"""Independent pieces of work in several processes: a matter of speed alone, since none sees what another does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any

from tqdm import tqdm

from pipeline.progress import HIDDEN

_pieces: Sequence[Callable[[], Any]] = ()
"""In a fork, which has them without their being sent: the models and images they hold are in its memory already."""


def run(pieces: Sequence[Callable[[], Any]], processes: int = 1) -> list[Future[Any]]:
    """Run the pieces, begun in their order, and return of each its result or its exception.

    By `processes` forks of this process; here where that is one, and where libraries do not stand a fork. A result of a
    fork must be what can be pickled.
    """
    processes = min(processes, len(pieces))
    if processes <= 1 or sys.platform != "linux":
        return [_here(piece) for piece in tqdm(pieces, unit="part", disable=HIDDEN)]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork"), _begin, (pieces,)) as pool:
        futures = [pool.submit(_piece, number) for number in range(len(pieces))]
        try:
            for _ in tqdm(as_completed(futures), total=len(pieces), unit="part", disable=HIDDEN):
                pass  # the bar begins once there are the forks: it has a thread, which does not survive one
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # or it would go on to the last piece
            raise
    return futures


def _here(piece: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(piece())
    except Exception as error:
        future.set_exception(error)
    return future


def _begin(pieces: Sequence[Callable[[], Any]]) -> None:
    global _pieces
    _pieces = pieces
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at Ctrl-C one process speaks
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A fork whose parent was killed would wait for ever, with the parent's output open."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _piece(number: int) -> Any:
    return _pieces[number]()
