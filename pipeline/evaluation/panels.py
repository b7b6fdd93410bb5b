"""Pictures a model draws: Figures 1 to 4 of the paper, and walks through the latent space."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.models.vlae import LatentVariableModel, Model
from pipeline.seeding import stream

SAMPLES = 64
DECOMPRESSIONS = 100
"""Test images that are decompressed: the pairs of Figures 1 to 3, and enough to count what is kept."""
ROWS, STEPS = 8, 6
TRAVERSED = 2.5
"""How far a traversal goes to each side, in standard deviations of the latents of all images."""


def panels(model: Model, images: Tensor, seed: int, walks: bool) -> dict[str, np.ndarray]:
    """uint8 arrays (n, C, H, W), drawn from `images` (N, C, H, W).

    `samples`; and with a latent `originals`, the first images, with a decompression each and, if `walks` and there is
    more than one image, `interpolations` and `traversals`.
    """
    device = images.device
    pictures = {"samples": model.sample(SAMPLES, rng=stream(seed, "samples", device=device))}
    if isinstance(model, LatentVariableModel):
        originals = images[:DECOMPRESSIONS]
        rng = stream(seed, "decompressions", device=device)
        latents = model.encode(originals, rng=rng)
        pictures |= {"originals": originals, "decompressions": model.decompress(latents, rng=rng)}
        if walks and len(originals) > 1:
            pictures |= {"interpolations": interpolations(model, originals, latents, rng)}
            pictures |= {"traversals": traversals(model, latents, rng)}
    return {name: picture.to(torch.uint8).cpu().numpy() for name, picture in pictures.items()}


def interpolations(model: LatentVariableModel, originals: Tensor, latents: Tensor, rng: torch.Generator) -> Tensor:
    """8 rows of 8, fewer of few images: a test image, decompressions of 6 latents on the way to another's, and it.

    The way is straight in the noise ε that the prior makes z from. (N, C, H, W) and (N, D) to (8 · rows, C, H, W).
    """
    rows = min(ROWS, len(latents) // 2)
    noise = model.prior.noise(latents[: 2 * rows])
    share = torch.linspace(0, 1, STEPS, device=noise.device)[None, :, None]
    between = torch.lerp(noise[:rows, None], noise[rows:, None], share)
    drawn = _decompress_alike(model, model.prior.transform(between.flatten(0, 1)), rng).unflatten(0, (rows, -1))
    ends = originals[: 2 * rows].unflatten(0, (2, rows, 1))
    return torch.cat([ends[0], drawn, ends[1]], dim=1).flatten(0, 1)


def traversals(model: LatentVariableModel, latents: Tensor, rng: torch.Generator) -> Tensor:
    """8 rows of 8: the first latent with one dimension moved, of the 8 that vary most. (N, D) to (64, C, H, W)."""
    mean, deviation = latents.mean(0), latents.std(0)
    moved = latents[0].expand(ROWS, ROWS, -1).clone()
    offsets = torch.linspace(-TRAVERSED, TRAVERSED, ROWS, device=latents.device)
    for row, dimension in enumerate(deviation.argsort(descending=True)[:ROWS]):
        moved[row, :, dimension] = mean[dimension] + offsets * deviation[dimension]
    return _decompress_alike(model, moved.flatten(0, 1), rng)


def _decompress_alike(model: LatentVariableModel, latents: Tensor, rng: torch.Generator) -> Tensor:
    """(N, D) to (N, C, H, W), all from the same uniforms, so that only z makes a difference."""
    uniforms = model.uniforms(1, rng).expand(len(latents), -1, -1, -1)
    return model.drawn_given(latents, uniforms)
