"""Commands side by side: how many at once, in which order, and what a failure and a signal do to the others."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from pipeline.schema import ParamError
from stages import cores, side_by_side
from stages.running import Running
from stages.screen import Screen
from stages.side_by_side import SideBySide, Task, TaskError

BAR = "import sys, tqdm\nfor _ in tqdm.tqdm(range(3)): pass\ntqdm.tqdm.write('said', sys.stderr)\nprint('end', end='')"
STOPPED = "trap 'echo stopped; exit 1' INT; while :; do sleep 0.05; done"


def task(name: str, command: str, *needs: str, kind: str = "training", is_done: bool = False) -> Task:
    return Task(name, kind, ("sh", "-c", command), frozenset(needs), lambda: is_done)


def run(tasks: list[Task], at_once: int = 2) -> str:
    """What is told, whether or not one failed."""
    stream = io.StringIO()
    try:
        SideBySide(tasks, at_once, Screen(stream)).run()
    finally:
        print(stream.getvalue())
    return stream.getvalue()


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_so_many_run_at_once_and_no_more(tmp_path, at_once):
    log = tmp_path / "log"
    run([task(str(i), f"echo 1 >> {log}; sleep 0.2; echo -1 >> {log}") for i in range(6)], at_once)
    changes = [int(line) for line in log.read_text().splitlines()]
    running = [sum(changes[:count]) for count in range(len(changes) + 1)]
    assert (max(running), running[-1]) == (at_once, 0)


def test_each_waits_for_what_it_needs_and_the_most_needed_comes_first(tmp_path):
    log = tmp_path / "log"
    names = {"report": ("b2", "c2"), "b2": ("b1",), "c2": ("c1",), "alone": (), "b1": ("a",), "c1": ("a",), "a": ()}
    run([task(name, f"echo {name} >> {log}", *needs) for name, needs in names.items()], at_once=1)
    assert log.read_text().split() == ["a", "b1", "c1", "b2", "c2", "report", "alone"]


def test_the_last_one_may_have_the_processes_of_all(monkeypatch):
    monkeypatch.setattr(side_by_side, "cores", lambda: 3)
    told = run([task("a", "echo $JOBS"), task("b", "echo $JOBS", "a"), task("c", "echo $JOBS", "b")], 2)
    assert re.findall(r"^(\w): (\d)$", told, re.MULTILINE) == [("a", "1"), ("b", "1"), ("c", "2")]
    assert "a: 3\n" in run([task("a", "echo $JOBS")], at_once=50)  # on a cluster, whose cores are others


def test_what_is_done_does_not_run_but_counts():
    told = run([task("a", "exit 1", is_done=True), task("b", "true", "a"), task("c", "true", kind="report")], 1)
    assert "training 2 of 2: b done in 0 s" in told
    assert "\nc done in" in told


def test_a_failure_stops_the_others_and_is_named_with_the_last_it_said(tmp_path, capsys):
    tasks = [task("slow", STOPPED), task("bad", "sleep 0.3; echo no such data; exit 3"), task("next", "true", "bad")]
    with pytest.raises(TaskError, match="bad failed with status 3: no such data"):
        run([*tasks, task("later", f"touch {tmp_path}/later")])
    told = capsys.readouterr().out
    assert "slow: stopped" in told
    assert "next" not in told
    assert not (tmp_path / "later").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_and_waits_for_them(tmp_path, number):
    saves = f"trap 'sleep 0.3; touch {tmp_path}/$0; exit 1' INT; echo ready; while :; do sleep 0.05; done"
    code = (
        "import sys; from stages.side_by_side import *; "
        f"tasks = [Task(name, 'run', ('sh', '-c', {saves!r}, name), frozenset(), lambda: False) for name in 'ab']; "
        "SideBySide(tasks, 2, Screen(sys.stdout)).run()"
    )
    process = subprocess.Popen(
        (sys.executable, "-c", code), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert {process.stdout.readline() for _ in "ab"} == {b"a: ready\n", b"b: ready\n"}
    process.send_signal(number)
    assert b"KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_bar_is_how_far_it_is_and_no_line():
    running, lines, over = Running("a", "", (sys.executable, "-c", BAR), 1), [], False
    while not over:
        told, over = running.read()
        lines += told
    assert running.end() == 0
    assert lines == ["said", "end"]
    assert running.last == "end"
    assert running.bar.startswith("100%|")
    assert "3/3" in running.bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_how_far_each_is_in_place_of_the_last_look():
    stream = Terminal()
    screen = Screen(stream)
    screen.draw(["a 1%", "b 2%"])
    screen.tell("c done")
    screen.draw(["a 3%" + " " * 500])
    assert stream.getvalue().startswith("a 1%\nb 2%\n\x1b[2F\x1b[Jc done\na 3%")
    assert max(map(len, stream.getvalue().splitlines())) < 500


def test_without_a_terminal_each_is_told_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    screen = Screen(stream)
    for now[0] in range(0, 150, 10):
        screen.draw([f"a {now[0]}%"])
    assert stream.getvalue() == "a 70%\na 140%\n"


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        ({}, "0::/", 8),
        ({"cpu.max": "max 100000"}, "0::/", 8),
        ({"cpu.max": "250000 100000"}, "0::/", 2),
        ({"cpu.max": "50000 100000"}, "0::/", 1),
        ({"cpu.max": "900000 100000"}, "0::/", 8),
        ({"cpu.max": "400000 100000", "a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, "0::/a/b", 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/", 8),
        ({"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"}, "4:cpu:/x\n5:memory:/y", 2),
    ],
)  # fmt: skip
def test_cores_are_those_that_affinity_and_quota_give(tmp_path, monkeypatch, files, membership, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "membership").write_text(membership + "\n")
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    assert cores.cores() == expected


def test_more_jobs_than_cores_warn(monkeypatch, capsys):
    monkeypatch.setattr(cores, "cores", lambda: 4)
    for wanted, expected in (("", 4), ("3", 3), ("4", 4)):
        monkeypatch.setenv("JOBS", wanted)
        assert cores.jobs() == expected
    assert not capsys.readouterr().err
    monkeypatch.setenv("JOBS", "5")
    assert cores.jobs() == 5
    assert "JOBS=5, and there are 4 cores" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5", "²"])
def test_jobs_that_are_no_number_are_refused(monkeypatch, wanted):
    monkeypatch.setenv("JOBS", wanted)
    with pytest.raises(ParamError, match="JOBS = "):
        cores.jobs()
