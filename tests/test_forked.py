"""Pieces of work give the same in one process as in several, and what goes wrong with one stays with it."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline import forked


@pytest.mark.parametrize("processes", [1, 2, 9])
def test_each_piece_gives_its_result_or_its_exception_in_order(processes):
    futures = forked.run([partial(divmod, 7, number) for number in (3, 0, 2)], processes)
    assert [futures[0].result(), futures[2].result()] == [(2, 1), (3, 1)]
    with pytest.raises(ZeroDivisionError):
        futures[1].result()


def test_as_many_pieces_run_at_once_as_there_are_processes():
    meet = get_context("fork").Barrier(2)
    futures = forked.run([partial(meet.wait, 60)] * 2, 2)
    assert {future.result() for future in futures} == {0, 1}


def test_what_a_piece_holds_is_not_sent_to_the_process_that_runs_it():
    held = (lambda: 5,)  # which cannot be pickled
    assert forked.run([lambda: held[0]()] * 2, 2)[1].result() == 5


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_forks_end_with_the_process_that_forked_them(tmp_path):
    code = (
        "import os, time\nfrom pathlib import Path\nfrom pipeline import forked\n"
        "def work():\n    Path(f'{os.getpid()}').touch()\n    time.sleep(600)\n"
        "forked.run([work] * 4, 2)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    until(lambda: len([*tmp_path.iterdir()]) == 2)
    parent.kill()
    parent.wait()
    until(lambda: not any(alive(path.name) for path in tmp_path.iterdir()))


def test_an_interrupt_is_not_put_off_until_all_pieces_have_run():
    def interrupt():
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(1)

    ran = get_context("fork").Value("i", 0)

    def count():
        with ran.get_lock():
            ran.value += 1
        time.sleep(0.2)

    with pytest.raises(KeyboardInterrupt):
        forked.run([interrupt, *[count] * 50], 2)
    assert ran.value < 25


def until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_process_that_dies_is_an_exception_of_its_piece():
    with pytest.raises(BrokenProcessPool):
        forked.run([partial(os._exit, 3)] * 2, 2)[0].result()
