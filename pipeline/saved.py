"""A trained model on disk: `model.safetensors` (averaged weights) and `config.json` (resolved), without pickle.

Of a masked layer only the entries that its mask keeps are stored, as a vector: a third of a VLAE's weights are masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.fast import accelerate
from pipeline.models.build import build_model
from pipeline.models.layers import WeightNorm
from pipeline.models.vlae import Model


@dataclass(frozen=True)
class SavedModel:
    """A loaded run: the model in evaluation state, and the configuration it was trained with."""

    model: Model
    config: dict[str, Any]


def save_run(folder: str | Path, model: nn.Module, config: dict[str, Any]) -> None:
    """Write weights and configuration; `config` needs at least `model_config` and `image_shape`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    for name, kept in _masks(model):
        weights[name] = weights[name][kept]
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_run(folder: str | Path, device: torch.device | str = "cpu") -> SavedModel:
    """The model trained in `folder`, accelerated: a run ("runs/mnist5k/vlae/seed0"), or a model with its first seed.

    FileNotFoundError if it is not there, OSError if it cannot be read or its weights are not finite.

    >>> run = load_run("published/mnist_static/vlae", device="cpu")
    >>> run.config["dataset"], run.model.image_shape
    ('mnist_static', (1, 28, 28))
    """
    folder = Path(folder)
    found = (path.parent for path in folder.glob("seed*/config.json"))
    seeds = [path for path in found if re.fullmatch(r"seed\d+", path.name)]  # not seed0_backup
    folder = min(seeds, key=lambda path: int(path.name.removeprefix("seed")), default=folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no trained model (no config.json); `dvc repro` makes those of runs/")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = build_model(config["model_config"], image_shape=tuple(config["image_shape"]))
        weights = load_file(folder / "model.safetensors")
        for name, kept in _masks(model):
            weights[name] = _spread(weights[name], kept)
        if broken := [name for name, value in weights.items() if not value.isfinite().all()]:
            raise ValueError(f"{', '.join(broken)}: not finite")
        model.load_state_dict(weights)
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"{folder} is damaged, or of another version of the code ({reason}); train it again") from error
    return SavedModel(accelerate(model.eval().requires_grad_(False)).to(device), config)


def _masks(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names of the weights that are masked, and which of their entries are kept, on the CPU."""
    for name, layer in model.named_modules():
        if isinstance(layer, WeightNorm) and layer.mask is not None:
            yield f"{name}.direction", layer.mask.bool().cpu().expand(layer.direction.shape)


def _spread(values: Tensor, kept: Tensor) -> Tensor:
    """`values` in the places that `kept` marks, zero elsewhere; RuntimeError if they are not as many."""
    if values.shape != (kept.sum(),):
        raise RuntimeError(f"{tuple(values.shape)} weights, and the mask keeps {kept.sum()}")
    weight = torch.zeros(kept.shape)
    weight[kept] = values.float()
    return weight
