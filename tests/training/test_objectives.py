"""Free bits: what is minimised, and where the gradient vanishes."""

import pytest
import torch

from pipeline.training.objectives import free_bits_objective


def parts(kl):
    return {"reconstruction": torch.tensor([80.0, 90.0]), "kl": torch.tensor(kl, requires_grad=True)}


@pytest.mark.parametrize(("kl", "expected", "gradient"), [([5.0, 7.0], 85 + 7.84, 0.0), ([7.0, 11.0], 85 + 9.0, 0.5)])
def test_free_bits_clamps_the_batch_mean(kl, expected, gradient):
    values = parts(kl)
    objective = free_bits_objective(values, 7.84)
    objective.backward()
    assert objective.item() == pytest.approx(expected)
    assert values["kl"].grad.tolist() == [gradient, gradient]


def test_without_free_bits_it_is_minus_the_elbo():
    assert free_bits_objective(parts([1.0, 2.0]), 0.0).item() == pytest.approx(85 + 1.5)
