"""Errors that a user can mend, and by which command."""

from pathlib import Path


class DataError(Exception):
    """A data file that is missing, cut, corrupted or out of reach; the message names it and the reason."""


def advice(stage: str, path: Path) -> str:
    """Which command of a stage makes a data file again: those of the published models have a place of their own."""
    return f"run `python -m stages.{stage} --published`" if "published" in path.parts else f"run `dvc repro {stage}`"
