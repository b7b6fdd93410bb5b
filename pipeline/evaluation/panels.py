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
"""How far a traversal goes to each side, in standard deviations of the codes of all images."""


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
        codes = model.encode(originals, rng=rng)
        pictures |= {"originals": originals, "decompressions": model.decompress(codes, rng=rng)}
        if walks and len(originals) > 1:
            pictures |= {"interpolations": interpolations(model, originals, codes, rng)}
            pictures |= {"traversals": traversals(model, codes, rng)}
    return {name: picture.to(torch.uint8).cpu().numpy() for name, picture in pictures.items()}


def interpolations(model: LatentVariableModel, originals: Tensor, codes: Tensor, rng: torch.Generator) -> Tensor:
    """8 rows of 8, fewer of few images: a test image, decompressions of 6 codes on the way to another's, and that one.

    The way is straight in the noise ε that the prior makes z from. (N, C, H, W) and (N, D) to (8 · rows, C, H, W).
    """
    rows = min(ROWS, len(codes) // 2)
    noise = model.prior.noise(codes[: 2 * rows])
    share = torch.linspace(0, 1, STEPS, device=noise.device)[None, :, None]
    between = torch.lerp(noise[:rows, None], noise[rows:, None], share)
    drawn = _decompress_alike(model, model.prior.transform(between.flatten(0, 1)), rng).unflatten(0, (rows, -1))
    ends = originals[: 2 * rows].unflatten(0, (2, rows, 1))
    return torch.cat([ends[0], drawn, ends[1]], dim=1).flatten(0, 1)


def traversals(model: LatentVariableModel, codes: Tensor, rng: torch.Generator) -> Tensor:
    """8 rows of 8: the first code with one dimension moved, of the 8 that vary most. (N, D) to (64, C, H, W)."""
    mean, deviation = codes.mean(0), codes.std(0)
    moved = codes[0].expand(ROWS, ROWS, -1).clone()
    offsets = torch.linspace(-TRAVERSED, TRAVERSED, ROWS, device=codes.device)
    for row, dimension in enumerate(deviation.argsort(descending=True)[:ROWS]):
        moved[row, :, dimension] = mean[dimension] + offsets * deviation[dimension]
    return _decompress_alike(model, moved.flatten(0, 1), rng)


def _decompress_alike(model: LatentVariableModel, codes: Tensor, rng: torch.Generator) -> Tensor:
    """(N, D) to (N, C, H, W), all from the same uniforms, so that only z makes a difference."""
    uniforms = model.uniforms(1, rng).expand(len(codes), -1, -1, -1)
    return model.decoded(codes, uniforms)
