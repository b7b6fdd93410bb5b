"""The activity of units and the bound on the mutual information, against channels where both are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Independent, Normal

from pipeline.evaluation import information
from pipeline.evaluation.information import active_units, activity, mutual_information_bound


def gaussian_channel(
    count: int, signal: list[float], noise: list[float], seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """z, mean and log_scale (count, D) of q(z|x) = N(x, noise²) for x ~ N(0, signal²)."""
    rng = torch.Generator().manual_seed(seed)
    mean, unit = (torch.randn(count, len(signal), generator=rng) for _ in range(2))
    mean, scale = mean * torch.tensor(signal), torch.tensor(noise).expand(count, -1)
    return mean + scale * unit, mean, scale.log()


def draws_of(mean: Tensor, scale: float, draws: int, seed: int = 1) -> Tensor:
    """(draws, N, D) from N(mean, scale²)."""
    return mean + scale * torch.randn(draws, *mean.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("signal", "noise"), [([1.0], [1.0]), ([2.0, 0.5], [1.0, 2.0]), ([0.3, 3.0, 0.0], [0.1, 3.0, 1.0])]
)
def test_the_bound_finds_the_information_of_a_gaussian_channel(signal, noise):
    truth = sum(0.5 * math.log1p((s / n) ** 2) for s, n in zip(signal, noise, strict=True))
    # one draw an image: the mean of log q(z|x) - log q(z) has a standard error of about 0.01
    assert mutual_information_bound(*gaussian_channel(6000, signal, noise)) == pytest.approx(truth, abs=0.04)


def test_the_bound_is_low_on_average_and_rises_with_the_number_of_images():
    signal, noise = [5.0] * 3, [1.0] * 3
    truth = 1.5 * math.log(26)
    few, many = (
        torch.tensor([mutual_information_bound(*gaussian_channel(count, signal, noise, seed)) for seed in range(40)])
        for count in (20, 200)
    )
    assert few.mean() < many.mean() - 0.5 < truth - 0.5
    assert few.mean() > 0.8 * math.log(20)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 40),
    spread=st.floats(0.0, 1e3),
    log_scale=st.floats(-9.0, 3.0),
    offset=st.floats(-1e4, 1e4),
    seed=st.integers(0, 99),
)
def test_no_draw_puts_the_bound_above_log_n(count, spread, log_scale, offset, seed):
    z, mean, scale = gaussian_channel(count, [spread] * 3, [math.exp(log_scale)] * 3, seed)
    assert mutual_information_bound(z + offset, mean + offset, scale) <= math.log(count) + 1e-9


def test_codes_that_tell_the_images_apart_reach_log_n():
    z, mean, log_scale = gaussian_channel(1200, [100.0] * 4, [1e-3] * 4)
    assert mutual_information_bound(z, mean, log_scale) == pytest.approx(math.log(1200), abs=1e-6)


def test_a_posterior_that_ignores_the_image_carries_nothing():
    z, mean, log_scale = gaussian_channel(700, [0.0, 0.0], [1.0, 0.2])
    assert mutual_information_bound(z, mean, log_scale) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_chunks_and_matrix_products_give_the_direct_sum(monkeypatch, offset):
    monkeypatch.setattr(information, "CODES_AT_ONCE", 32)
    rng = torch.Generator().manual_seed(3)
    mean, log_scale, unit = (torch.randn(75, 4, generator=rng).double() for _ in range(3))
    z = mean + log_scale.exp() * unit
    log_q = Independent(Normal(mean, log_scale.exp()), 1).log_prob(z[:, None])
    direct = (log_q.diagonal() - log_q.logsumexp(1)).mean() + math.log(75)
    assert mutual_information_bound(z + offset, mean + offset, log_scale) == pytest.approx(direct.item(), abs=1e-8)


def test_a_bound_on_arrays_that_do_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(5, 2\), \(5, 2\), \(1, 2\)"):
        mutual_information_bound(torch.zeros(5, 2), torch.zeros(5, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        mutual_information_bound(torch.zeros(5), torch.zeros(5), torch.zeros(5))


@pytest.mark.parametrize("draws", [2, 5])
def test_activity_is_the_variance_of_the_means_without_the_noise_of_the_draws(draws):
    mean = torch.randn(20000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.3, 0.0]) + 7
    sample = draws_of(mean, 1.0, draws)
    assert torch.allclose(activity(sample), mean.double().var(0), atol=0.03)
    assert (sample.mean(0).var(0) - mean.var(0) > 0.15).all(), "too few draws to show the bias"


def test_activity_of_a_unit_that_ignores_the_image_is_zero_on_average_with_the_stated_error():
    images, draws = 500, 16
    values = activity(draws_of(torch.zeros(images, 400), 2.0, draws))
    error = 2.0**2 / draws * (2 / images) ** 0.5
    assert abs(values.mean()) < 4 * error / 400**0.5
    assert values.std().item() == pytest.approx(error, rel=0.15)
    assert (values < 0).any()


def test_active_units_are_those_that_answer_to_the_image():
    # variances 1, 0.04, 0.0025 and 0 about the threshold of 0.01; the draws' noise is 1 in all of them
    spread = torch.tensor([1.0, 0.2, 0.05, 0.0, 0.0])
    mean = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0)) * spread
    assert active_units(draws_of(mean, 1.0, 8)) == 2


@pytest.mark.parametrize("shape", [(1, 5, 3), (5, 1, 3), (5, 3)])
def test_activity_needs_two_draws_and_two_images(shape):
    with pytest.raises(ValueError, match="at least 2"):
        activity(torch.zeros(shape))
