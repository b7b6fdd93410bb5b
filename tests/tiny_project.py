"""A folder in which the stages run in seconds: tiny models, few steps, 8×8 images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from conftest import ROOT, binary_images

from pipeline.data.datasets import Dataset, save

TINY = {"latent_dim": 4, "encoder_channels": [4, 4], "hidden_units": 16, "flow_hidden_units": [16], "filters": 4}


def binary_dataset(name: str = "mnist5k") -> Dataset:
    """96 grey training images of 8×8, labelled."""
    images = (binary_images(96, (1, 8, 8)).numpy() * 200).astype(np.uint8)
    fixed = binary_images(40, (1, 8, 8), 1).numpy().astype(np.uint8)
    labels = [np.arange(count) % 3 for count in (96, 40, 40)]
    return Dataset(name, "binary", True, images, fixed, fixed, *labels, valid_levels=fixed * 200)


def write_project(folder: Path) -> None:
    """params.yaml (tiny models, 60 steps, a checkpoint at every step) and a tiny mnist5k."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"scale": "smoke", "checkpoint_seconds": 0}
    params["scales"]["smoke"]["binary"] |= {"steps": {"vae": 60, "pixelcnn": 60, "vlae": 60}, "validate_every": 20}
    params["training"]["threads"] = 1
    for block in params["models"].values():
        block |= TINY
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    save(binary_dataset(), folder / "data/processed/mnist5k.npz")
