"""Muon (Jordan et al., 2024): a matrix of weights moves by its averaged gradient, made nearly orthogonal.

Adamax scales each weight by itself. Here all directions in which the gradient points move alike, the weak ones too.
"""

from __future__ import annotations

import torch
from torch import Tensor

MOMENTUM = 0.95
SIZE = 0.2
ITERATIONS = 5
SMALLEST = 1e-20
"""Below it the squares of which a norm is made vanish in float32, before the entries do."""
COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""Of the polynomial a·s + b·s³ + c·s⁵ that, iterated, takes singular values s in (0, 1] near to one."""


@torch.no_grad()
def move_kernels(weights: list[Tensor], gradients: list[Tensor], means: list[Tensor], learning_rate: float) -> None:
    """Move `weights` and their gradients' moving `means`, in place; a tensor (R, …) is a matrix of R rows.

    The root mean square of a matrix's move is near SIZE times the learning rate, as Adam's is (Liu et al., 2025).
    """
    torch._foreach_lerp_(means, gradients, 1 - MOMENTUM)
    ahead = torch._foreach_lerp(gradients, means, MOMENTUM)  # Nesterov's
    by_shape: dict[tuple[int, int], list[int]] = {}
    for i, gradient in enumerate(ahead):
        by_shape.setdefault((len(gradient), gradient[0].numel()), []).append(i)
    for shape, alike in by_shape.items():
        moves = orthogonal(torch.stack([ahead[i].reshape(shape) for i in alike]))
        for i, move in zip(alike, moves, strict=True):
            weights[i].sub_(move.view_as(weights[i]), alpha=learning_rate * SIZE * max(shape) ** 0.5)


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, R, C), each roughly with its singular values set to one, by a Newton–Schulz iteration; zeros stay zeros."""
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonal(matrices.mT).mT
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(SMALLEST)
    for _ in range(ITERATIONS):
        squares = x @ x.mT
        x = a * x + (b * squares + c * squares @ squares) @ x
    return x
