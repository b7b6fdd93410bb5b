"""A trained model on disk: `model.safetensors` (averaged weights) and `config.json` (resolved), without pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.models.build import build_model
from pipeline.models.latent import Model


@dataclass(frozen=True)
class Run:
    """A loaded run: the model in evaluation state, and the configuration it was trained with."""

    model: Model
    config: dict[str, Any]


def save_run(folder: str | Path, model: nn.Module, config: dict[str, Any]) -> None:
    """Write weights and configuration; `config` needs at least `model_config` and `image_shape`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_run(folder: str | Path) -> Run:
    """The model trained in `folder`, on the CPU: a run ("runs/mnist5k/vlae/seed0"), or a model with its first seed.

    FileNotFoundError if it is not there, OSError if it cannot be read.
    """
    folder = Path(folder)
    seeds = sorted(folder.glob("seed*/config.json"), key=lambda path: int(path.parent.name.removeprefix("seed")))
    folder = seeds[0].parent if seeds else folder
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no trained model (no config.json); `dvc repro` makes it")
    try:
        config = json.loads((folder / "config.json").read_text())
        model = build_model(config["model_config"], image_shape=tuple(config["image_shape"]))
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise OSError(f"{folder} is damaged, or of another version of the code ({reason}); train it again") from error
    return Run(model.eval().requires_grad_(False), config)
