"""Quadrature over z against densities that are known, and against the estimates by draws."""

import math

import pytest
import torch
from torch import Tensor, nn

from pipeline.evaluation import quadrature
from pipeline.evaluation.quadrature import posterior_gap
from pipeline.models.build import build_model
from tests.conftest import VAE, VLAE, binary_images

SHAPE = (1, 4, 4)


class Given(nn.Module):
    """A decoder of which p(z|x) is a Gaussian: p(x|z) ∝ N(`seen`; z_0, noise²), the same for all images."""

    def __init__(self, seen: float, noise: float) -> None:
        super().__init__()
        self.seen, self.noise = seen, noise

    def log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        return torch.distributions.Normal(z[:, 0], self.noise).log_prob(torch.tensor(self.seen))


def model_with(mean: list[float], scale: list[float], seen: float = 1.0, noise: float = 0.5):
    """A VAE with D = 3 whose q(z|x) is N(mean, scale²) for every image."""
    model = build_model(VAE, SHAPE)
    stated = torch.tensor(mean), torch.tensor(scale).log()
    model.posterior.encode = lambda x: (*(part.expand(len(x), -1) for part in stated), torch.zeros(len(x), 1))
    model.decoder = Given(seen, noise)
    return model


@pytest.mark.parametrize(("mean", "scale"), [(0.8, 0.447), (0.5, 0.6), (1.1, 0.3)])
def test_evidence_and_gap_of_a_gaussian_model_are_the_known_ones(mean, scale):
    found = posterior_gap(model_with([mean, 0, 0], [scale, 1, 1]), torch.zeros(2, *SHAPE))
    exact = torch.distributions.Normal(0, math.sqrt(1 + 0.25)).log_prob(torch.tensor(1.0))
    posterior = torch.distributions.Normal(0.8, math.sqrt(0.2))  # precision 1 + 4, mean 4/5
    gap = torch.distributions.kl_divergence(torch.distributions.Normal(mean, scale), posterior)
    assert found["quadrature_nll"] == pytest.approx(-float(exact), abs=0.02)
    assert found["posterior_gap_nats"] == pytest.approx(float(gap), abs=0.02)


def test_a_second_dimension_in_use_is_integrated_over_and_a_third_is_too_many():
    used = model_with([0.8, 1.0, 0], [0.447, 0.9, 1])
    idle = posterior_gap(model_with([0.8, 0, 0], [0.447, 1, 1]), torch.zeros(2, *SHAPE))
    found = posterior_gap(used, torch.zeros(2, *SHAPE))
    assert found["quadrature_nll"] == pytest.approx(idle["quadrature_nll"], abs=0.02)  # the decoder ignores it
    wasted = 0.5 * (1 + 0.81 - 1) - math.log(0.9)
    assert found["posterior_gap_nats"] == pytest.approx(idle["posterior_gap_nats"] + wasted, abs=0.02)
    assert posterior_gap(model_with([0.8, 1, 1], [0.5, 0.5, 0.5]), torch.zeros(2, *SHAPE)) == {}


def test_the_gap_is_what_the_elbo_lacks_of_the_importance_sampled_bound(monkeypatch):
    monkeypatch.setattr(quadrature, "IN_USE", -1.0)  # untrained, it sees z, and q tells nothing of x
    model = build_model(VAE | {"decoder": "pixelcnn", "latent_dim": 2, "masked_layers": 3, "filters": 4}, SHAPE)
    images = binary_images(6, SHAPE)
    found = posterior_gap(model, images)
    reconstruction, kl = model.code_lengths(images.repeat(1000, 1, 1, 1), 8, torch.Generator().manual_seed(0))
    log_weights = -(reconstruction + kl).view(-1, len(images))  # 8,000 draws of each image
    bound = (log_weights.logsumexp(0) - math.log(len(log_weights))).mean()
    elbo = log_weights.mean()
    assert found["quadrature_nll"] == pytest.approx(-float(bound), abs=0.02)
    assert found["posterior_gap_nats"] == pytest.approx(float(bound - elbo), abs=0.04)


@pytest.mark.parametrize("parts", [VLAE, VAE | {"posterior": "iaf"}])
def test_a_flow_around_z_leaves_it_undone(parts):
    assert posterior_gap(build_model(parts, SHAPE), binary_images(2, SHAPE)) == {}
