"""Runs, published trainings and data sets as the earlier stages would leave them."""

from written_runs import datasets, digits, make_published, make_run, new_published, new_run, params, write_run

__all__ = ["datasets", "digits", "make_published", "make_run", "new_published", "new_run", "params", "write_run"]
