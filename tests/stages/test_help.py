"""`--help` of every script prints help, and does nothing else."""

from __future__ import annotations

import runpy
import sys

import pytest
from conftest import ROOT

SCRIPTS = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_printed_and_nothing_is_done(script, tmp_path, monkeypatch, capsys):
    """After reports of a check of all models, a benchmark and a report that `--help` started."""
    monkeypatch.chdir(tmp_path)  # without params.yaml
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    monkeypatch.delitem(sys.modules, f"stages.{script}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"stages.{script}", run_name="__main__", alter_sys=True)
    told = capsys.readouterr()
    assert ended.value.code == 0
    command = "vlae" if script == "vlae" else f"python -m stages.{script}"  # the one that is installed by name
    assert told.out.startswith(f"usage: {command} [-h]")
    assert len(told.out.splitlines()) > 4  # beside the usage
    assert told.err == ""
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_a_script_has_not_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plan", "--published"])
    monkeypatch.delitem(sys.modules, "stages.plan", raising=False)
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module("stages.plan", run_name="__main__", alter_sys=True)
    assert "unrecognized arguments: --published" in capsys.readouterr().err
