"""The flow against its own inverse, against autograd, and against zuko."""

import pytest
import torch
import zuko

from pipeline.models.flows import AutoregressiveFlow
from pipeline.models.latent_parts import AutoregressivePrior


def shaken(module):
    """Parameters large enough for shifts to matter."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return module


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_inverse_undoes_forward(steps):
    flow = shaken(AutoregressiveFlow(6, steps, (20, 20)))
    noise = torch.randn(5, 6)
    z = flow(noise)
    assert not torch.allclose(z, noise, atol=1e-2)
    assert torch.allclose(flow.inverse(z)[0], noise, atol=1e-4)


def test_log_determinant_is_autograds():
    flow = shaken(AutoregressiveFlow(6, 3, (20, 20))).double()
    z = torch.randn(4, 6, dtype=torch.float64)
    expected = [torch.autograd.functional.jacobian(lambda v: flow.inverse(v[None])[0][0], row) for row in z]
    log_det = torch.stack([jacobian.slogdet().logabsdet for jacobian in expected])
    assert torch.allclose(flow.inverse(z)[1], log_det, atol=1e-8)


def test_order_is_reversed_between_steps():
    flow = shaken(AutoregressiveFlow(4, 2, (20, 20)))
    jacobian = torch.autograd.functional.jacobian(lambda v: flow.inverse(v[None])[0][0], torch.randn(4))
    off_diagonal = jacobian - torch.diag(jacobian.diagonal())
    assert (off_diagonal.triu().abs() > 0).any()
    assert (off_diagonal.tril().abs() > 0).any()


def test_density_is_zukos():
    """Each step as zuko's AutoregressiveTransform with our shifts, composed with its reversals."""
    prior = shaken(AutoregressivePrior(5, 3, (20, 20)))
    transforms = [
        zuko.transforms.AutoregressiveTransform(
            lambda z, shift=shift: zuko.transforms.DependentTransform(zuko.transforms.AdditiveTransform(-shift(z)), 1),
            5,
        )
        for shift in prior.flow.shifts
    ]
    base = zuko.distributions.DiagNormal(torch.zeros(5), torch.ones(5))
    z = torch.randn(7, 5)
    value, log_det = z, torch.zeros(7)
    for transform in transforms:
        value, ladj = transform.call_and_ladj(value)
        value, log_det = value.flip(-1), log_det + ladj
    assert torch.allclose(prior.log_prob(z), base.log_prob(value) + log_det, atol=1e-4)


def test_inverse_of_one_step_is_zukos():
    flow = shaken(AutoregressiveFlow(5, 1, (20, 20)))
    meta = lambda z: zuko.transforms.DependentTransform(zuko.transforms.AdditiveTransform(-flow.shifts[0](z)), 1)  # noqa: E731
    noise = torch.randn(7, 5)
    theirs = zuko.transforms.AutoregressiveTransform(meta, 5).inv(noise.flip(-1))
    assert torch.allclose(flow(noise), theirs, atol=1e-4)


def test_prior_samples_have_the_prior_density():
    """On a one-dimensional grid of a 2-d prior the density integrates to 1."""
    prior = shaken(AutoregressivePrior(2, 2, (20,)))
    axis = torch.linspace(-12, 12, 401)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = prior.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(total.item() - 1) < 1e-2
