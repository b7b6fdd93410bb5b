"""`make repro`: what `dvc repro` does, with stages that do not need each other side by side. Not a stage of DVC.

DVC says which stages there are, what they need and which have changed, and runs each under its own locks.

JOBS=2 python -m stages.repro [-S scale=smoke] [plot]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterable
from functools import partial

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import Stage
from dvc.stage.exceptions import StageCmdFailedError
from dvc.utils.hydra import apply_overrides

from pipeline.config import load_params
from pipeline.schema import ParamError
from stages import run_stage
from stages.cores import cores, jobs
from stages.screen import Screen
from stages.side_by_side import SideBySide, Task, TaskError

KINDS = {"train": "training", "evaluate": "evaluation"}
"""What to call the stages whose names begin so."""


def main() -> None:
    """Bring the targets up to date; with --alone one stage, as `dvc repro -s` does."""
    arguments = _arguments()
    try:
        if arguments.alone:
            alone(arguments.alone)
        else:
            if arguments.set_param:
                apply_overrides("params.yaml", arguments.set_param)
            load_params()
            side_by_side(arguments.targets or ["dvc.yaml"])
            if arguments.name:
                Repo().experiments.save(name=arguments.name, force=True)
    except DvcException as error:
        raise ParamError(str(error)) from error


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.repro", description="`dvc repro`, stages side by side.")
    parser.add_argument("targets", nargs="*", help="stages, or groups of them; by default all of dvc.yaml")
    parser.add_argument("-S", "--set-param", action="append", metavar="NAME=VALUE", help="change params.yaml before")
    parser.add_argument("-n", "--name", help="save the result as an experiment of DVC")
    parser.add_argument("--alone", metavar="STAGE", help="run this one stage, if it has changed")
    return parser.parse_args()


def side_by_side(targets: list[str]) -> None:
    """Run what leads to the targets and has changed, JOBS stages at a time; exit naming the first that fails."""
    with Repo(_wait_for_lock=True) as repo:
        with repo.lock:  # others may be writing dvc.lock
            graph = get_active_graph(repo.index.graph)
            plan = plan_repro(graph, collect_stages(repo, targets))
        tasks = [_task(stage, graph.successors(stage)) for stage in plan]
        at_once = jobs()
        if not os.environ.get("VLAE_LAUNCHER"):  # a training in shards is to leave the others their cores
            os.environ.setdefault("VLAE_WORKERS", str(max(1, cores() // at_once)))
        try:
            SideBySide(tasks, at_once, Screen(sys.stderr)).run()
        except TaskError as error:
            sys.exit(f"error: {error}\nthe others were stopped; what is done is kept, and the same command goes on")


def _task(stage: Stage, needed: Iterable[Stage]) -> Task:
    name = stage.addressing
    kind = name.partition("@")[0].partition("-")[0]
    return Task(
        name=name,
        kind=KINDS.get(kind, kind),
        command=(sys.executable, "-m", "stages.repro", "--alone", name),
        needs=frozenset(other.addressing for other in needed),
        is_done=partial(_unchanged, stage),
    )


def _unchanged(stage: Stage) -> bool:
    with stage.repo.lock:
        return not stage.changed()


def alone(name: str) -> None:
    """One stage, while others may be run by other processes; exits with status 1 if its command fails."""
    logging.getLogger("dvc").setLevel(logging.WARNING)
    with Repo(_wait_for_lock=True) as repo:
        try:
            repo.reproduce(name, single_item=True)
        except DvcException as error:
            if isinstance(error.__cause__, StageCmdFailedError):
                sys.exit(1)  # the command has said why
            raise error.__cause__ or error from None


if __name__ == "__main__":
    run_stage(main)
