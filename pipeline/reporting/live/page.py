"""The page on which one draws a digit: models from `published`, in the reader's browser, in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.data.datasets import Dataset
from pipeline.data.textures import TextureSource
from pipeline.reporting.live.bundle import FOLDER, bundle
from pipeline.reporting.live.facts import MEASURED, Shown, code_map, packed_images, shown_model, some_of_each, spread
from pipeline.reporting.live.weights import Store
from pipeline.units import nats_to_bits

DIGITS = ("vae", "context_4x2", "context_stack", "context_full")
"""Of static MNIST, from the one whose decoder sees nothing on. A VAE with the VLAEs' prior would be 0.7 MB more."""
TEXTURES = ("textures_no_pixels", "textures_window", "textures_full_context")
PAIR = {"vae": "VAE", "context_stack": "VLAE"}
"""The two that are compared, and what they are called; the second is the one whose codes are on the map."""
A_CLASS, MAPPED, FIRST = 4, 500, 9
"""Digits to pick of each class, digits on the map, and the one that is there at first."""
SOME_TEXTURES = 8


def write_page(published: Path, digits: Dataset, target: Path) -> None:
    """Write the page to `target`, with digits of the test split to pick; only a sentence if models are missing."""
    folders = {name: published / "mnist_static" / name for name in DIGITS}
    missing = [str(folder) for folder in folders.values() if not (folder / "config.json").is_file()]
    text = f"<!DOCTYPE html><title>No models</title><p>This page needs {', '.join(missing)}." if missing else ""
    target.write_text(text or _page(published, digits), encoding="utf-8")


def _page(published: Path, digits: Dataset) -> str:
    assert digits.test_labels is not None
    images = torch.from_numpy(digits.test[:MAPPED]).float()
    shown = {name: shown_model(published / "mnist_static" / name, images) for name in DIGITS}
    textures, known = _textures(published)
    store = Store()
    for name, one in (shown | textures).items():
        store.add(name, one.model, one.steps, **one.facts)
    picks, (*_, mapped) = some_of_each(digits.test_labels, A_CLASS), PAIR
    facts = {
        "models": store.models,
        "pair": PAIR,
        "contexts": DIGITS,
        "digits": {"images": packed_images(digits.test[picks]), "labels": _text(digits.test_labels[picks])},
        "first": FIRST,
        "map": code_map(mapped, shown[mapped].model, images, digits.test_labels[:MAPPED].tolist()),
        "spread": {name: spread(shown[name].model, images) for name in PAIR},
        "textures": known,
    }
    loss = nats_to_bits(max(one.loss for one in shown.values()))
    return _rendered(facts, store.packed(), {"loss": f"{loss:.1f}", "points": len(images), "cards": _cards(shown)})


def _textures(published: Path) -> tuple[dict[str, Shown], dict[str, Any] | None]:
    """Those of TEXTURES that are published, and what the page shows of them; nothing of fewer than two."""
    folders = {name: published / "textures" / name for name in TEXTURES}
    there = {name: folder for name, folder in folders.items() if (folder / "metrics.json").is_file()}
    if len(there) < 2:
        return {}, None
    metrics = json.loads((next(iter(there.values())) / "metrics.json").read_text(encoding="utf-8"))
    images, _ = TextureSource().draw(MEASURED, np.random.RandomState(0))
    drawn = torch.from_numpy(images).float()
    models = {name: shown_model(folder, drawn) for name, folder in there.items()}
    information = f"{nats_to_bits(metrics['exact_information']):.1f}"
    known = {"names": list(there), "side": images.shape[-1], "images": packed_images(images[:SOME_TEXTURES])}
    return models, known | {"information": information}


def _cards(shown: dict[str, Shown]) -> list[dict[str, Any]]:
    """The two models that are compared, in words."""
    captions = ("much alike, with noise at the edges", "strokes vary more than the digit")
    facts = [shown[name].facts for name in PAIR]
    return [
        {
            "name": name,
            "title": PAIR[name],
            "told": f"while it draws a pixel, the decoder sees {one['sees']}",
            "caption": caption,
            "dimensions": one["config"]["latent_dim"],
        }
        for name, one, caption in zip(PAIR, facts, captions, strict=True)
    ]


def _rendered(facts: dict[str, Any], streams: dict[str, str], words: dict[str, Any]) -> str:
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        **words,
        style=Markup(style),
        script=Markup(bundle("page")),
        worker=Markup(bundle("worker")),
        facts=Markup(json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")),
        textures=facts["textures"],
        streams=streams,
        sources=", ".join(DIGITS),
        measured=MEASURED,
    )


def _text(labels: np.ndarray) -> str:
    return "".join(map(str, labels))
