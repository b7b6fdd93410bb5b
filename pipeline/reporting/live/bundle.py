"""ES modules of this folder as one script, since a page opened from a file may import none."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(r'^import ({.*}) from "\./(\w+)\.js";$', flags=re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", flags=re.MULTILINE)


def bundle(*names: str) -> str:
    """These modules and those that they import, each once and after what it needs: module `x` is the object $x."""
    modules: dict[str, str] = {}
    for name in names:
        _collect(name, modules)
    return "\n".join(modules.values())


def _collect(name: str, modules: dict[str, str]) -> None:
    text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    for _, needed in IMPORT.findall(text):
        if needed not in modules:
            _collect(needed, modules)
    offered = ", ".join(EXPORT.findall(text))
    body = EXPORT.sub("", IMPORT.sub(r"const \1 = $\2;", text))
    modules[name] = f"const ${name} = (() => {{\n{body}return {{ {offered} }};\n}})();"
