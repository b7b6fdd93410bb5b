"""A folder in which the stages run in seconds: tiny models, few steps, 8×8 images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from conftest import ROOT, binary_images, color_images

from pipeline.data.datasets import Dataset, save
from pipeline.data.textures import TextureSource

TINY = {"latent_dim": 4, "encoder_channels": [4, 4], "hidden_units": 16, "flow_hidden_units": [16], "filters": 4}
TINY_COLOR = {"latent_maps": 4, "channels": 4, "inner_channels": 6, "flow_steps": 2, "flow_maps": [8], "blocks": 2,
              "filters": 4, "mixtures": 2}  # fmt: skip


def color_dataset() -> Dataset:
    """Colour images of 8×8, labelled."""
    splits = [color_images(count, (3, 8, 8), seed).numpy().astype(np.uint8) for seed, count in enumerate((96, 40, 40))]
    return Dataset("photos", "color", False, *splits, *(np.arange(len(images)) % 3 for images in splits))


def binary_dataset(name: str = "mnist5k") -> Dataset:
    """96 grey training images of 8×8, labelled."""
    images = (binary_images(96, (1, 8, 8)).numpy() * 200).astype(np.uint8)
    fixed = binary_images(40, (1, 8, 8), 1).numpy().astype(np.uint8)
    labels = [np.arange(count) % 3 for count in (96, 40, 40)]
    return Dataset(name, "binary", True, images, fixed, fixed, *labels, valid_levels=fixed * 200)


def known_dataset() -> Dataset:
    """Textures of 8×8 with all that is known of them."""
    source, random = TextureSource(size=8), np.random.RandomState(0)
    (train, factors), (test, test_factors) = (source.draw(count, random) for count in (96, 40))
    known = {"train_factors": factors, "valid_factors": test_factors, "test_factors": test_factors}
    known |= {f"exact_{name}": values for name, values in source.exact(test)._asdict().items()}
    return Dataset("textures", "binary", False, train, test, test, **known)


def write_project(folder: Path) -> None:
    """params.yaml (tiny models, 60 steps, a checkpoint at every step), tiny mnist5k, photos and textures."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"scale": "smoke", "checkpoint_seconds": 0, "color_datasets": ["photos"]}
    for budget in params["scales"]["smoke"].values():
        budget |= {"steps": {"vae": 60, "pixelcnn": 60, "vlae": 60}}
        budget["training"]["validate_every"] = 20
    for block in params["models"].values():
        block |= TINY
    for block in params["color_models"].values():
        block |= TINY_COLOR
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    save(binary_dataset(), folder / "data/processed/mnist5k.npz")
    save(color_dataset(), folder / "data/processed/photos.npz")
    save(known_dataset(), folder / "data/processed/textures.npz")
