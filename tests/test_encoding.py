"""Text is UTF-8 wherever the program runs, and never what the locale says."""

import ast
import os
import subprocess
import sys

import pytest
from conftest import ROOT

FILES = sorted(file for folder in ("pipeline", "stages") for file in (ROOT / folder).rglob("*.py"))


def without_encoding(source: str) -> list[int]:
    """The lines whose calls read or write text in the encoding of the locale."""
    lines = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        owner = (
            call.func.value.id if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) else ""
        )
        given = {keyword.arg for keyword in call.keywords}
        modes = [
            str(value.value)
            for value in (*call.args, *(k.value for k in call.keywords))
            if isinstance(value, ast.Constant)
        ]
        binary = any("b" in mode and len(mode) < 4 for mode in modes)
        text = name in ("read_text", "write_text", "loadtxt") or given & {"text", "universal_newlines"}
        opened = name == "open" and not binary and owner not in ("Image", "gzip", "lzma", "tarfile", "os")
        if (text or opened) and "encoding" not in given:
            lines.append(call.lineno)
    return lines


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_text_file_is_read_and_written_as_utf_8(file):
    assert without_encoding(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        "p.read_text()",
        "p.write_text('×')",
        "open('f')",
        "p.open('w', newline='')",
        "run(a, text=True)",
        "np.loadtxt(p)",
    ],
)
def test_what_the_locale_would_decide_is_seen(code):
    assert without_encoding(code) == [1]


@pytest.mark.parametrize("code", ["p.open('rb')", "open('f', 'wb')", "Image.open(p)", "p.read_text(encoding='utf-8')"])
def test_what_it_would_not_is_not(code):
    assert without_encoding(code) == []


@pytest.mark.parametrize("locale", ["C", "de_DE.ISO-8859-1"])
def test_params_are_read_in_a_locale_without_their_letters(tmp_path, locale):
    """After reports from containers without a locale, where the first × of a comment ended the program."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert not text.isascii()
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"
    }  # fmt: skip
    for stage in ("download", "preprocess"):
        result = subprocess.run(
            [sys.executable, "-m", f"stages.{stage}"], cwd=tmp_path, env=environment, capture_output=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
