"""The flow against its own inverse, against autograd, and against zuko; of vectors and of maps."""

import pytest
import torch
import zuko

from pipeline.config import ModelConfig
from pipeline.fast import accelerate
from pipeline.models.binary import VectorPosterior
from pipeline.models.flows import MADE, AutoregressiveFlow, ConvMADE
from pipeline.models.vlae import Prior


def shaken(module):
    """Parameters large enough for shifts to matter."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return module


def vector_flow(dim, steps, hidden, context=0):
    return shaken(AutoregressiveFlow(MADE(dim, hidden, context) for _ in range(steps)))


def map_flow(shape, steps, hidden, context=0):
    return shaken(AutoregressiveFlow(ConvMADE(shape, hidden, context) for _ in range(steps)))


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("maps", [False, True])
def test_inverse_undoes_forward(maps, steps):
    flow = map_flow((2, 1, 3), steps, (9,)) if maps else vector_flow(6, steps, (20, 20))
    noise = torch.randn(5, 6)
    z = flow(noise)
    assert not torch.allclose(z, noise, atol=1e-2)
    assert torch.allclose(flow.inverse(z), noise, atol=1e-4)


@pytest.mark.parametrize(("dim", "hidden"), [(6, (20, 20)), (5, (3,)), (4, ()), (2, (7, 5, 6)), (1, (4,))])
def test_forward_is_that_of_whole_passes_one_dimension_after_the_other(dim, hidden):
    flow, noise = vector_flow(dim, 3, hidden), torch.randn(5, dim)
    expected = whole_passes(flow, noise, range(dim))
    assert torch.allclose(flow(noise), expected, atol=1e-5)
    assert torch.allclose(accelerate(flow)(noise), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "hidden"), [((3, 4, 3), (7, 5)), ((2, 3, 4), ()), ((4, 2, 2), (3,)), ((2, 1, 1), (4,)), ((1, 3, 2), (4,))]
)
def test_forward_over_maps_is_that_of_whole_passes(shape, hidden):
    flow = map_flow(shape, 3, hidden)
    noise = torch.randn(5, shape[0] * shape[1] * shape[2])
    expected = whole_passes(flow, noise, order_of_maps(shape))
    assert not torch.allclose(expected, noise, atol=1e-2)
    assert torch.allclose(flow(noise), expected, atol=1e-4)
    assert torch.allclose(accelerate(flow)(noise), expected, atol=1e-4)


@pytest.mark.parametrize("made", [MADE(5, (9, 7), 4), MADE(3, (), 4), ConvMADE((2, 3, 2), (6,), 4)])
def test_visiting_with_a_context_is_that_of_whole_passes(made):
    context = torch.randn(3, 4) if isinstance(made, MADE) else torch.randn(3, 4, 3, 2)
    base = torch.randn(3, len(made.order))
    expected = shaken(made).visit(3, lambda i, shift: base[:, i] + shift, context)
    assert not torch.allclose(expected, base, atol=0.1)
    assert torch.allclose(accelerate(made).visit(3, lambda i, shift: base[:, i] + shift, context), expected, atol=1e-4)


def order_of_maps(shape):
    """Indices of a flattened (C, H, W): positions in raster order, at each the channels."""
    return torch.arange(shape[0] * shape[1] * shape[2]).view(shape).permute(1, 2, 0).flatten().tolist()


@torch.no_grad()
def whole_passes(flow, noise, order):
    """z by the obvious way: a pass of the whole shift for every dimension."""
    z = noise
    for shift in reversed(flow.shifts):
        z, base = torch.zeros_like(z), z.flip(-1)
        for i in order:
            z[:, i] = base[:, i] + shift(z)[:, i]
    return z


@pytest.mark.parametrize("hidden", [(), (12,), (24, 12)])
def test_a_map_sees_all_that_is_before_it_within_reach_and_nothing_else(hidden):
    shape, reach = (3, 4, 5), 1 + len(hidden)
    made = shaken(ConvMADE(shape, hidden)).double()
    z = torch.randn(8, 60, dtype=torch.float64)
    jacobian = sum(torch.autograd.functional.jacobian(lambda v: made(v[None])[0], row).abs() for row in z)
    place = {index: i for i, index in enumerate(order_of_maps(shape))}
    for output in range(60):
        channel, row, column = output // 20, output // 5 % 4, output % 5
        for seen in range(60):
            c, up, aside = seen // 20, row - seen // 5 % 4, column - seen % 5
            near = 0 <= up <= reach and abs(aside) <= reach and (up > 0 or aside >= 0)
            if place[seen] >= place[output] or not near:
                assert jacobian[output, seen] == 0
            elif up + abs(aside) == 1 or (up == aside == 0 and c < channel):
                assert jacobian[output, seen] > 0


def test_maps_with_a_context_depend_on_it():
    made = shaken(ConvMADE((2, 3, 3), (6,), context=4))
    z = torch.randn(1, 18)
    outputs = [made(z, context) for context in torch.randn(2, 1, 4, 3, 3)]
    assert (outputs[0] != outputs[1]).float().mean() > 0.8


def test_a_flow_with_a_context_is_not_drawn_from_without_it():
    with pytest.raises(ValueError, match="context"):
        vector_flow(4, 2, (8,), context=3)(torch.randn(2, 4))
    with pytest.raises(ValueError, match="context"):
        map_flow((2, 1, 2), 2, (8,), context=3)(torch.randn(2, 4))


@pytest.mark.parametrize("flow", [vector_flow(6, 3, (20, 20)), map_flow((2, 1, 3), 3, (9,))])
def test_the_log_determinant_is_zero_by_autograd(flow):
    flow = flow.double()
    z = torch.randn(4, 6, dtype=torch.float64)
    expected = [torch.autograd.functional.jacobian(lambda v: flow.inverse(v[None])[0], row) for row in z]
    log_det = torch.stack([jacobian.slogdet().logabsdet for jacobian in expected])
    assert torch.allclose(log_det, torch.zeros(4, dtype=torch.float64), atol=1e-8)


def test_order_is_reversed_between_steps():
    flow = vector_flow(4, 2, (20, 20))
    jacobian = torch.autograd.functional.jacobian(lambda v: flow.inverse(v[None])[0], torch.randn(4))
    off_diagonal = jacobian - torch.diag(jacobian.diagonal())
    assert (off_diagonal.triu().abs() > 0).any()
    assert (off_diagonal.tril().abs() > 0).any()


def test_density_is_zukos():
    """Each step as zuko's AutoregressiveTransform with our shifts, composed with its reversals."""
    prior = Prior(vector_flow(5, 3, (20, 20)))
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
    assert torch.allclose(prior.log_prob_terms(z).sum(-1), base.log_prob(value) + log_det, atol=1e-4)


def test_inverse_of_one_step_is_zukos():
    flow = vector_flow(5, 1, (20, 20))
    meta = lambda z: zuko.transforms.DependentTransform(zuko.transforms.AdditiveTransform(-flow.shifts[0](z)), 1)  # noqa: E731
    noise = torch.randn(7, 5)
    theirs = zuko.transforms.AutoregressiveTransform(meta, 5).inv(noise.flip(-1))
    assert torch.allclose(flow(noise), theirs, atol=1e-4)


def test_prior_samples_have_the_prior_density():
    """On a one-dimensional grid of a 2-d prior the density integrates to 1."""
    prior = Prior(vector_flow(2, 2, (20,)))
    axis = torch.linspace(-12, 12, 401)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = prior.log_prob_terms(grid).sum(-1).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(total.item() - 1) < 1e-2


def iaf_posterior():
    block = ModelConfig("iaf", "gaussian", "factorized", latent_dim=3, encoder_channels=(4, 4), hidden_units=8)
    return shaken(VectorPosterior(block, (1, 4, 4), vector_flow(3, 2, (20,), context=8)))


def test_iaf_posterior_has_its_density():
    """log q at its own draws is the change of variables from the noise, the Jacobian by autograd."""
    posterior, x = iaf_posterior(), torch.rand(1, 1, 4, 4)
    parameters, noise = posterior.encode(x), torch.randn(1, 3)
    jacobian = torch.autograd.functional.jacobian(lambda e: posterior.sample(parameters, e[None])[0][0], noise[0])
    expected = torch.distributions.Normal(0, 1).log_prob(noise).sum() - jacobian.slogdet().logabsdet
    assert (jacobian - torch.diag(jacobian.diagonal())).abs().max() > 1e-2
    assert torch.allclose(posterior.sample(parameters, noise)[1].sum(), expected, atol=1e-4)


def test_iaf_posterior_moves_differently_for_different_images():
    posterior, noise = iaf_posterior(), torch.randn(1, 3)
    mean, log_scale, hidden = posterior.encode(torch.rand(1, 1, 4, 4))
    moved = [posterior.sample((mean, log_scale, units), noise)[0] for units in (hidden, hidden + 1)]
    assert not torch.allclose(*moved, atol=1e-2)


@pytest.mark.parametrize("steps", [1, 2])
def test_terms_of_the_prior_are_of_the_noise_in_the_dimensions_place(steps):
    """With shifts of zero the terms are those of N(0, I), in z's own order."""
    prior = Prior(AutoregressiveFlow(MADE(3, (8,)) for _ in range(steps)))
    with torch.no_grad():
        for shift in prior.flow.shifts:
            shift.layers[-1].gain.zero_()
    z = torch.tensor([[0.0, 1.0, 2.0]])
    assert torch.allclose(prior.log_prob_terms(z), torch.distributions.Normal(0, 1).log_prob(z))
