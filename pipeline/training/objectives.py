"""What is minimised, from the model's named parts; in nats per image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

SOFT_CHANGE = 0.1
SOFT_TOLERANCE = 0.05
SOFT_LEAST = 0.01
"""The weight falls no further: the KL follows it late, and from far below the way back would take hundreds of steps."""


@dataclass(frozen=True)
class Objective:
    """A rule for E[−log p(x|z)] + w · KL, both means of the batch; `target` λ in nats per image, `annealing_steps` ≥ 1.

    elbo             w = 1: minus the ELBO
    free_bits        w = 1 and max(KL, λ) for KL: below λ it has no gradient (Appendix A; Kingma et al., 2016). With
                     an AF prior the KL does not split over dimensions, so the total is clamped
    soft_free_bits   w rises by 10 % (to 1 at most) after a batch with KL more than 5 % above λ, and falls by 10 %
                     after one with KL below λ (Appendix B), not below SOFT_LEAST
    annealing        w rises linearly from 0 to 1 over the first `annealing_steps` steps (Bowman et al., 2016)
    """

    rule: Literal["elbo", "free_bits", "soft_free_bits", "annealing"]
    target: float = 0.0
    annealing_steps: int = 1

    def price(self, kl: Tensor, kl_weight: float) -> Tensor:
        """What a nat of KL costs where the batch has this mean `kl`: the derivative of the rule by it, a scalar."""
        if self.rule == "free_bits":
            return (kl >= self.target).to(kl)
        return torch.full_like(kl, kl_weight)

    @property
    def first_weight(self) -> float:
        """w of the first step."""
        return 0.0 if self.rule == "annealing" else 1.0

    def next_weight(self, weight: float, kl: float, steps: int) -> float:
        """w of the step after `steps` steps, the last of which had this w and this KL."""
        if self.rule == "annealing":
            return min(1.0, steps / self.annealing_steps)
        if self.rule == "soft_free_bits" and kl > (1 + SOFT_TOLERANCE) * self.target:
            return min(1.0, (1 + SOFT_CHANGE) * weight)
        if self.rule == "soft_free_bits" and kl < self.target:
            return max(SOFT_LEAST, (1 - SOFT_CHANGE) * weight)
        return weight
