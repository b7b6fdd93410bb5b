"""The mixture is a distribution over 8-bit levels, is the logistic's, and its draws follow it."""

import numpy as np
import pytest
import scipy.stats
import torch

from pipeline.models.likelihoods import HALF, START_LOG_SCALE, LogisticMixture, log_mass, scaled

LEVELS = torch.arange(256.0)


def parameters_of(mixture, seed=0, spread=1.0):
    """(1, P, 1): random parameters of one pixel."""
    rng = torch.Generator().manual_seed(seed)
    return spread * torch.randn(1, mixture.parameters, 1, generator=rng)


@pytest.mark.parametrize("mean", [-1.5, -1.0, 0.003, 0.97])
@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.0, 2.0])
def test_mass_of_a_level_is_the_logistics(mean, log_scale):
    """Reference: differences of scipy's distribution function, from whichever side keeps the digits."""
    ends = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / HALF - 1, [np.inf]])
    logistic = scipy.stats.logistic(mean, np.exp(log_scale))
    from_below, from_above = np.diff(logistic.cdf(ends)), -np.diff(logistic.sf(ends))
    expected = np.where(ends[1:] < mean, from_below, from_above)
    ours = log_mass(LEVELS.double(), *torch.tensor([mean, log_scale], dtype=torch.float64)).numpy()
    visible = expected > 1e-280
    assert np.allclose(ours[visible], np.log(expected[visible]), rtol=1e-6, atol=1e-6)
    assert np.isfinite(ours).all()


def test_far_tails_have_finite_values_and_gradients():
    mean = torch.tensor([-1.0, 1.0], requires_grad=True)
    log_scale = torch.tensor([-7.0, -7.0], requires_grad=True)
    values = log_mass(torch.tensor([[254.0], [1.0], [255.0], [0.0]]), mean, log_scale)
    values.sum().backward()
    assert values.isfinite().all()
    assert mean.grad.isfinite().all()
    assert log_scale.grad.isfinite().all()
    assert values.min() < -1000


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_one_channel_sums_to_one(spread):
    mixture = LogisticMixture(5, channels=1)
    parameters = parameters_of(mixture, spread=spread)
    log_probs = mixture.log_prob(parameters.expand(256, -1, -1), LEVELS.view(256, 1, 1))
    assert abs(log_probs.double().exp().sum().item() - 1) < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_every_channel_sums_to_one_over_its_256_levels_given_those_before(seed):
    """Σ_b p(r, g, b) = p(r, g), Σ_g p(r, g) = p(r) and Σ_r p(r) = 1, where p(r, g), p(r) drop the later channels."""
    mixture = LogisticMixture(4)
    parameters = parameters_of(mixture, seed)
    k, n = mixture.components, torch.arange(mixture.parameters)
    first = LogisticMixture(4, channels=1)
    second = LogisticMixture(4, channels=2)
    block = n.view(-1, k)  # weights, 3 means, 3 log scales, coefficients G of R, B of R, B of G
    of_r, of_rg = block[[0, 1, 4]].flatten(), block[[0, 1, 2, 4, 5, 7]].flatten()
    p_r = first.log_prob(parameters[:, of_r].expand(256, -1, -1), LEVELS.view(-1, 1, 1)).double().exp()
    assert abs(p_r.sum() - 1) < 1e-5
    for r in (0.0, 100.0, 255.0):
        pairs = torch.stack([torch.full((256,), r), LEVELS], 1)[..., None]
        p_rg = second.log_prob(parameters[:, of_rg].expand(256, -1, -1), pairs).double().exp()
        assert torch.allclose(p_rg.sum(), p_r[int(r)], rtol=1e-4)
        for g in (0.0, 31.0, 255.0):
            triples = torch.stack([torch.full((256,), r), torch.full((256,), g), LEVELS], 1)[..., None]
            p_rgb = mixture.log_prob(parameters.expand(256, -1, -1), triples).double().exp()
            assert torch.allclose(p_rgb.sum(), p_rg[int(g)], rtol=1e-4)


def test_means_of_later_channels_shift_with_earlier_ones():
    """One component: the mean of B is m_B + tanh(c_R) r + tanh(c_G) g."""
    mixture = LogisticMixture(1)
    parameters = torch.tensor([0.0, 0.1, -0.2, 0.3, -3.0, -3.0, -2.0, 0.5, -0.7, 0.9]).view(1, -1, 1)
    x = torch.tensor([40.0, 200.0, 90.0]).view(1, 3, 1)
    r, g, _ = scaled(x).flatten()
    means = (0.1, -0.2 + np.tanh(0.5) * r, 0.3 + np.tanh(-0.7) * r + np.tanh(0.9) * g)
    expected = sum(
        log_mass(x[0, i, 0], torch.as_tensor(mean), torch.tensor(START_LOG_SCALE + log_scale))
        for i, (mean, log_scale) in enumerate(zip(means, (-3.0, -3.0, -2.0), strict=True))
    )
    assert torch.allclose(mixture.log_prob(parameters, x)[0], expected)


def test_single_levels_are_drawn_as_often_as_their_mass_says():
    """Narrow components, the tails' levels 0 and 255 included; within 5 standard errors."""
    mixture, count = LogisticMixture(3, channels=1), 400_000
    means, scales = torch.tensor([-1.0, 0.1, 0.999]), torch.tensor([-5.0, -4.5, -5.0])
    parameters = torch.cat([torch.tensor([0.2, 0.5, 0.0]), means, scales - START_LOG_SCALE]).view(1, -1, 1)
    uniforms = torch.rand(1, mixture.uniforms, count, generator=torch.Generator().manual_seed(0))
    draws = mixture.sample(parameters.expand(-1, -1, count), uniforms).flatten().long()
    exact = mixture.log_prob(parameters.expand(256, -1, -1), LEVELS.view(256, 1, 1)).exp()
    frequencies = torch.bincount(draws, minlength=256) / count
    error = (exact * (1 - exact) / count).sqrt()
    assert (exact > 0.05).sum() >= 5
    assert ((frequencies - exact).abs() < 5 * error + 1e-5).all()


def test_draws_have_the_probabilities_of_the_mixture():
    mixture, count = LogisticMixture(3, channels=2), 200_000
    parameters = parameters_of(mixture, seed=4)
    uniforms = torch.rand(1, mixture.uniforms, count, generator=torch.Generator().manual_seed(0))
    draws = mixture.sample(parameters.expand(-1, -1, count), uniforms)[0]
    assert draws.min() >= 0
    assert draws.max() <= 255
    assert torch.equal(draws, draws.round())
    grid = torch.cartesian_prod(LEVELS, LEVELS)
    exact = mixture.log_prob(parameters.expand(len(grid), -1, -1), grid[..., None]).exp().view(256, 256)
    coarse = exact.view(8, 32, 8, 32).sum((1, 3))
    codes = (draws[0] // 32 * 8 + draws[1] // 32).long()
    frequencies = torch.bincount(codes, minlength=64).view(8, 8) / count
    assert torch.allclose(frequencies, coarse, atol=4 * 0.5 / count**0.5)
