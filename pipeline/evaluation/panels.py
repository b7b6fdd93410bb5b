"""The images of Figures 1 and 2: test images with a lossy decompression each, and samples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.models.latent import LatentVariableModel, Model
from pipeline.seeding import stream

PAIRS, SAMPLES = 32, 64


def panels(model: Model, images: Tensor, seed: int) -> dict[str, np.ndarray]:
    """uint8 arrays (n, C, H, W) in {0, 1}: `samples`, and with a latent `originals` and their `decompressions`.

    The originals are the first of `images` (N, C, H, W).
    """
    device = images.device
    pictures = {"samples": model.sample(SAMPLES, generator=stream(seed, "samples", device=device))}
    if isinstance(model, LatentVariableModel):
        originals = images[:PAIRS]
        generator = stream(seed, "decompressions", device=device)
        pictures["originals"] = originals
        pictures["decompressions"] = model.decompress(model.encode(originals, generator=generator), generator=generator)
    return {name: picture.to(torch.uint8).cpu().numpy() for name, picture in pictures.items()}
