"""Likelihoods on spaces small enough to enumerate, and the identities the paper rests on."""

import math

import pytest
import torch
from conftest import PIXELCNN, VAE, VLAE, all_binary_images, binary_images

from pipeline import build_model
from pipeline.fast import accelerate
from pipeline.models.layers import initialize
from pipeline.models.vlae import standard_normal_terms


def initialized(block, shape, scale=1.0):
    model = accelerate(build_model(block, image_shape=shape))  # many draws take the definition minutes
    rng = torch.Generator().manual_seed(0)
    initialize(model, binary_images(64, shape), rng)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * scale * torch.randn(parameter.shape, generator=rng))
    return model


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        ({}, (3, 3)),
        ({"kernel_size": 5}, (3, 3)),
        ({"context": "full"}, (3, 3)),
        ({"context": "2x1"}, (3, 3)),
        ({"context": "downsampled"}, (5, 2)),  # a second row of blocks
    ],
)
def test_pixelcnn_sums_to_one(block, shape):
    model = initialized(PIXELCNN | block, (1, *shape), scale=5)
    probabilities = model.log_prob(all_binary_images(*shape)).double().exp()
    assert len(probabilities) == 2 ** (shape[0] * shape[1])
    assert probabilities.std() * len(probabilities) > 0.1  # far from uniform, or the test would say nothing
    assert abs(probabilities.sum().item() - 1) < 1e-5


@pytest.mark.parametrize(
    ("block", "scale"),
    [(VAE, 1), (VLAE, 1), (VLAE | {"context": "full"}, 1), (VLAE | {"posterior": "iaf", "prior": "gaussian"}, 0.2)],
)
def test_importance_sampled_probabilities_sum_to_one(block, scale, rng):
    model = initialized(block, (1, 2, 3), scale)
    images = all_binary_images(2, 3)
    runs = torch.stack([model.log_prob(images, 400, rng).double().exp().sum() for _ in range(16)])
    error = runs.std() / math.sqrt(len(runs))
    assert error < 0.01
    assert abs(runs.mean() - 1) < 4 * error + 1e-6


def exact_log_prob(model, x):
    """log ∫ p(x|z) p(z) dz on a grid of the 1-d latent."""
    z = torch.linspace(-12, 12, 4001)[:, None]
    with torch.no_grad():
        joint = model.prior.log_prob_terms(z).sum(-1).double()[:, None] + torch.stack(
            [model.decoder.log_prob(image.expand(len(z), -1, -1, -1), z).double() for image in x], 1
        )
    return joint.logsumexp(0) + math.log(24 / 4000)


@pytest.mark.parametrize("prior", ["gaussian", "af"])
def test_bound_rises_with_k_and_meets_the_exact_value(prior, rng):
    model = initialized(VLAE | {"latent_dim": 1, "prior": prior}, (1, 2, 2), scale=1.5)
    x = all_binary_images(2, 2)
    exact = exact_log_prob(model, x)
    means = []
    for k, repeats in ((1, 2000), (4, 500), (64, 100), (4096, 16)):
        many = x.repeat(repeats, 1, 1, 1)
        means.append(model.log_prob(many, k, rng).double().view(repeats, -1).mean(0))
    gaps = [(exact - mean).mean().item() for mean in means]
    assert gaps[0] > gaps[1] > gaps[2] - 2e-3
    assert gaps[0] > 0.05
    assert abs(gaps[-1]) < 0.01
    assert torch.allclose(means[-1], exact, atol=0.08)  # four standard errors of the image with the heaviest weights


def test_elbo_is_the_one_sample_bound_and_its_parts_add_up():
    model, x = initialized(VLAE, (1, 6, 6)), binary_images(4, (1, 6, 6))
    parts = model.loss(x, torch.Generator().manual_seed(3))
    elbo = model.log_prob(x, 1, torch.Generator().manual_seed(3))
    assert torch.allclose(elbo, -(parts["reconstruction"] + parts["kl"]), atol=1e-4)


def test_af_prior_is_the_iaf_posterior():
    """The ELBO with prior z = f(ε) equals the one with posterior ε = f⁻¹(z), prior N(0, I), decoder p(x|f(ε)) (3.2)."""
    model, x = initialized(VLAE | {"latent_dim": 4}, (1, 4, 4), scale=3), binary_images(3, (1, 4, 4))
    ours = model.log_prob(x, 1, torch.Generator().manual_seed(5))
    with torch.no_grad():
        noise = model._noise(len(x), torch.Generator().manual_seed(5))
        z, log_q_z = model.posterior.sample(model.posterior.encode(x), noise)
        epsilon = model.prior.flow.inverse(z)
    jacobians = [torch.autograd.functional.jacobian(lambda v: model.prior.flow.inverse(v[None])[0], row) for row in z]
    log_q_epsilon = log_q_z.sum(-1) - torch.stack([jacobian.slogdet().logabsdet for jacobian in jacobians])
    with torch.no_grad():
        likelihood = model.decoder.log_prob(x, model.prior.flow(epsilon))
    theirs = likelihood + standard_normal_terms(epsilon).sum(-1) - log_q_epsilon
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_importance_samples_must_be_positive():
    model = build_model(VAE, image_shape=(1, 6, 6))
    with pytest.raises(ValueError, match="at least 1"):
        model.log_prob(binary_images(1, (1, 6, 6)), 0)


def test_samples_follow_the_model():
    """Frequencies of 2×2 images among samples are the probabilities of an exact model."""
    model = initialized(PIXELCNN, (1, 2, 2), scale=5)
    samples = model.sample(20000, torch.Generator().manual_seed(0)).flatten(1)
    codes = (samples * 2 ** torch.arange(4)).sum(1).long()
    frequencies = torch.bincount(codes, minlength=16) / len(samples)
    assert torch.allclose(frequencies, model.log_prob(all_binary_images(2, 2)).exp(), atol=0.015)


def test_encode_decompress_and_sample_shapes_and_seeds(rng):
    model, x = initialized(VLAE, (1, 6, 5)), binary_images(4, (1, 6, 5))
    z = model.encode(x, rng)
    assert z.shape == (4, 3)
    draws = [model.decompress(z, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert draws[0].shape == x.shape
    assert set(draws[0].unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert model.sample(3, rng).shape == (3, 1, 6, 5)
