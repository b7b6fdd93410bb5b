"""Tiny models of every kind, as they are loaded, with weights large enough for all parts to matter."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from conftest import COLOR_VLAE, PIXELCNN, ROOT, VAE, VLAE, binary_images, color_images
from tiny_project import TINY, TINY_COLOR

from pipeline import build_model
from pipeline.config import load_params
from pipeline.fast import accelerate
from pipeline.saved import SavedModel

PARAMS = load_params(ROOT / "params.yaml")
BLOCKS = {name: asdict(block) | TINY for name, block in PARAMS.models.items()}
BLOCKS |= {name: asdict(block) | TINY_COLOR for name, block in PARAMS.color_models.items()}
KINDS = {
    "factorized": VAE,
    "af prior": VLAE,
    "iaf posterior": VLAE | {"posterior": "iaf", "prior": "gaussian"},
    "no latent": PIXELCNN,
    "colour": COLOR_VLAE,
}


def tiny_run(block: dict[str, Any], shape: tuple[int, int, int], seed: int = 0, spread: float = 0.3) -> SavedModel:
    """A run whose model has weights around those of a fresh one."""
    torch.manual_seed(seed)
    model = accelerate(build_model(block, image_shape=shape))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return SavedModel(model.eval().requires_grad_(False), {"model_config": block, "image_shape": list(shape)})


def images_of(block: dict[str, Any], count: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """(count, C, H, W) uint8 of the block's kind, of 8×8, or of 4×4 colours."""
    draw, channels, usual = (color_images, 3, (4, 4)) if "network" in block else (binary_images, 1, (8, 8))
    return draw(count, (channels, *(size or usual))).numpy().astype(np.uint8)
