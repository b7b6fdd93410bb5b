"""Pieces of work give the same in one process as in several, and what goes wrong with one stays with it."""

import os
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context

import pytest

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


def test_a_process_that_dies_is_an_exception_of_its_piece():
    with pytest.raises(BrokenProcessPool):
        forked.run([partial(os._exit, 3)] * 2, 2)[0].result()
