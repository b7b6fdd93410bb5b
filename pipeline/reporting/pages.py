"""Pages from templates: one Markdown source a page, written as Markdown and, through markdown-it, as HTML."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from PIL import Image, features

from pipeline import paper
from pipeline.reporting.figures import Picture
from pipeline.reporting.tables import Table, bounds_table, table

TEMPLATES = Path(__file__).parent / "templates"
PAGES = {"report": ("report", "index"), "details": ("details", "details")}
"""By template, the names of its Markdown and of its HTML file."""
PHOTO = {"quality": 70, "method": 4}
DRAWN = {"lossless": True, "quality": 20, "method": 1}
"""Pillow's options for WebP: photographs are small, charts pixel for pixel; a higher method is smaller and slower."""


@dataclass
class Page:
    """What a template can ask for: tables and figures of the content, in the page's format."""

    content: Mapping[str, Any]
    pictures: Mapping[str, Picture]
    blocks: Any
    details: str

    def figure(self, stems: Iterable[str], caption: str) -> str:
        """The pictures that were drawn, with one caption and their sources; nothing if none was."""
        shown = [self.pictures[stem] for stem in stems if stem in self.pictures]
        datasets = [name for picture in shown for name in picture.datasets]
        return str(self.blocks.figure(shown, caption, self._source(datasets))) if shown else ""

    def panels(self, name: str, stems: Iterable[str]) -> str:
        """Pictures as a figure of the paper, which tells what each panel shows; this run's where none is published."""
        drawn = [stem for stem in stems if f"published-{stem}" in self.pictures or stem in self.pictures]
        drawn = [f"published-{stem}" if f"published-{stem}" in self.pictures else stem for stem in drawn]
        told = [f"({letter}) {self.pictures[stem].alt}" for letter, stem in zip("abcdefgh", drawn, strict=False)]
        return self.figure(drawn, f"{name}: {'; '.join(told)}.")

    def shown(self, view: Table | None, caption: str) -> str:
        """A table with its caption and sources; nothing if there is none."""
        return str(self.blocks.table(view, caption, self._source(view.datasets, view.file))) if view else ""

    def table(self, kind: str, group: Any, caption: str) -> str:
        """The table `kind` of a group, or of records that have a file of their own."""
        if isinstance(group, list):
            return self.shown(table(kind, group, "text_figures.csv"), caption)
        return self.shown(table(kind, group.records), caption)

    def paper_table(self, pair: tuple[paper.Table, Table]) -> str:
        """A table of the paper."""
        source, view = pair
        samples = f"in the paper K = {source.importance_samples:,}"
        return self.shown(view, f"{source.name}: {source.title}, test NLL in {source.unit}, lower is better; {samples}")

    def bounds(self, group: Any, caption: str) -> str:
        """NLL with ever more samples."""
        return self.shown(bounds_table(self.content["bound_records"], group.dataset), caption)

    def baselines_table(self, kind: str, name: str, frame: pd.DataFrame, caption: str) -> str:
        """What was measured of a data set without a model."""
        records = [dict(row) for _, row in frame.assign(dataset=name).iterrows()]
        return self.shown(table(kind, records, f"baselines-{name}.csv"), caption)

    def _source(self, datasets: Sequence[str], file: str = "results.csv") -> str:
        """The links to stage, data and commit."""
        known = {group.dataset for group in self.content["by_dataset"]}
        links = [f"[{name}]({self.details}#sources-{name})" for name in dict.fromkeys(datasets) if name in known]
        made = f"made by {', '.join(links)}" if links else f"[provenance]({self.details}#provenance)"
        return f"Stage `plot`; [numbers](tables/{file}), {made}"


def write_pages(content: Mapping[str, Any], pictures: Mapping[str, Picture], folder: Path) -> None:
    """Write report.md and index.html, details.md and details.html."""
    for template, (markdown, html) in PAGES.items():
        text = _rendered(template, "md", content, pictures, folder)
        (folder / f"{markdown}.md").write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")
        body = to_html(_rendered(template, "html", content, pictures, folder))
        title = re.search("<h1[^>]*>(.*?)</h1>", body)
        page = _environment(folder).get_template("page.html.j2")
        text = page.render(body=Markup(body), title=Markup(title[1] if title else ""))
        (folder / f"{html}.html").write_text(text, encoding="utf-8")


def to_html(markdown: str) -> str:
    """CommonMark to HTML; headings get the anchors that GitHub gives them."""
    parser = MarkdownIt("commonmark", {"html": True})
    parser.core.ruler.push("anchors", lambda state: _add_anchors(state.tokens))
    return str(parser.render(markdown))


def _add_anchors(tokens: Sequence[Token]) -> None:
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", re.sub(r"[^\w\- ]", "", inline.content.lower()).replace(" ", "-"))


def _rendered(
    template: str, kind: str, content: Mapping[str, Any], pictures: Mapping[str, Picture], folder: Path
) -> str:
    environment, suffix = _environment(folder), {"md": "md", "html": "html"}[kind]
    blocks = environment.get_template(f"blocks.{kind}.j2").module
    front, details = PAGES["report"][kind == "html"], PAGES["details"][kind == "html"]
    page = Page(content, pictures, blocks, f"{details}.{suffix}")
    offered = {name: getattr(page, name) for name in dir(page) if not name.startswith("_") and name != "content"}
    names = dict(content) | offered | {"html": kind == "html", "details": page.details, "front": f"{front}.{suffix}"}
    return environment.get_template(f"{template}.md.j2").render(names)


def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda text: text.replace("|", "\\|")
    environment.filters["note"] = lambda text: f"<br><sub>{text}</sub>"
    environment.filters["inline"] = lambda text: Markup(MarkdownIt("commonmark").renderInline(str(text)))
    environment.filters["embedded"] = lambda picture: Markup(_embedded(folder / "figures" / picture.file, picture.kind))
    return environment


def _embedded(path: Path, kind: str) -> str:
    """Size and content for an <img>: as WebP where Pillow has it, a third smaller, and of photographs lossy."""
    with Image.open(path) as image:
        width, height = image.size
        form, content = "png", io.BytesIO(path.read_bytes())
        if features.check("webp"):
            form, content = "webp", io.BytesIO()
            image.convert("RGB").save(content, "WEBP", **(PHOTO if kind == "photo" else DRAWN))
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return f'width="{width}" height="{height}" src="data:image/{form};base64,{data}"'
