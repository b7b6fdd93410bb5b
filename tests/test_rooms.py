"""Which room of pipeline/ may use which: arrows point one way, and no file needs itself by way of others."""

import ast
import graphlib

from conftest import ROOT

BELOW = {
    "models": {"config"},
    "fast": {"config", "models"},
    "training": {"config", "models", "fast"},
    "evaluation": {"config", "data", "models", "fast", "training"},
}
"""Rooms that a room may use, beside files that lie in none, such as seeding.py and schema.py."""
FILES = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in (ROOT / "pipeline").rglob("*.py")}


def imported(module):
    """The modules of the pipeline that a module imports, wherever it does so, but for the names of types alone."""
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    tree.body = [part for part in tree.body if not isinstance(part, ast.If)]  # TYPE_CHECKING
    for node in ast.walk(tree):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name and name.startswith("pipeline."):
                yield f"{name}.__init__" if f"{name}.__init__" in FILES else name


def test_rooms_use_only_those_below():
    for module in FILES:
        room = module.split(".")[1]
        used = {name.split(".")[1] for name in imported(module) if name.count(".") > 1}
        assert used <= BELOW.get(room, used) | {room}, module


def test_no_file_needs_itself_by_way_of_others():
    graph = {module: set(imported(module)) for module in FILES if module != "pipeline.__init__"}  # which imports on use
    list(graphlib.TopologicalSorter(graph).static_order())
