"""What is minimised, from the model's named parts; in nats per image."""

from __future__ import annotations

from torch import Tensor


def free_bits_objective(parts: dict[str, Tensor], free_nats: float) -> Tensor:
    """E[−log p(x|z)] + max(KL, λ), the maximum taken of the batch mean of the whole KL (Appendix A, λ = `free_nats`).

    With an AF prior the KL does not split over dimensions, so the total is clamped; below λ it has no gradient.
    `parts` are (B,) each; the result is a scalar.
    """
    return parts["reconstruction"].mean() + parts["kl"].mean().clamp_min(free_nats)
