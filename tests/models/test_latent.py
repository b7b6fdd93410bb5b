"""Likelihoods on spaces small enough to enumerate, and the identities the paper rests on."""

import itertools
import math

import pytest
import torch
from conftest import PIXELCNN, VAE, VLAE, all_binary_images, binary_images

from pipeline import build_model
from pipeline.models.latent_parts import standard_normal_terms
from pipeline.models.layers import initialize


def initialized(block, shape, scale=1.0):
    model = build_model(block, image_shape=shape)
    generator = torch.Generator().manual_seed(0)
    initialize(model, binary_images(64, shape), generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * scale * torch.randn(parameter.shape, generator=generator))
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
def test_importance_sampled_probabilities_sum_to_one(block, scale, generator):
    model = initialized(block, (1, 2, 3), scale)
    images = all_binary_images(2, 3)
    runs = torch.stack([model.log_prob(images, 400, generator).double().exp().sum() for _ in range(16)])
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
def test_bound_rises_with_k_and_meets_the_exact_value(prior, generator):
    model = initialized(VLAE | {"latent_dim": 1, "prior": prior}, (1, 2, 2), scale=1.5)
    x = all_binary_images(2, 2)
    exact = exact_log_prob(model, x)
    means = []
    for k, repeats in ((1, 2000), (4, 500), (64, 100), (4096, 4)):
        many = x.repeat(repeats, 1, 1, 1)
        means.append(model.log_prob(many, k, generator).double().view(repeats, -1).mean(0))
    gaps = [(exact - mean).mean().item() for mean in means]
    assert gaps[0] > gaps[1] > gaps[2] - 2e-3
    assert gaps[0] > 0.05
    assert abs(gaps[-1]) < 0.01
    assert torch.allclose(means[-1], exact, atol=0.05)


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
        noise = model._noise(len(x), x, torch.Generator().manual_seed(5))
        z, log_q_z = model.posterior.sample(model.posterior.encode(x), noise)
        epsilon = model.prior.flow.inverse(z)
    jacobians = [torch.autograd.functional.jacobian(lambda v: model.prior.flow.inverse(v[None])[0], row) for row in z]
    log_q_epsilon = log_q_z.sum(-1) - torch.stack([jacobian.slogdet().logabsdet for jacobian in jacobians])
    with torch.no_grad():
        likelihood = model.decoder.log_prob(x, model.prior.flow(epsilon))
    theirs = likelihood + standard_normal_terms(epsilon).sum(-1) - log_q_epsilon
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_importance_sampling_in_chunks_is_the_plain_estimate(monkeypatch):
    model, x = initialized(VLAE | {"latent_dim": 16}, (1, 6, 6)), binary_images(3, (1, 6, 6))
    whole = model.code_lengths(x, 12, torch.Generator().manual_seed(0))
    log_prob = model.log_prob(x, 12, torch.Generator().manual_seed(0))
    with torch.no_grad():
        monkeypatch.setattr(model, "rows_at_once", 6)
        chunks = torch.cat(list(model._portions(x, 12, torch.Generator().manual_seed(0))), 1)
    assert all(torch.allclose(*parts, atol=1e-4) for parts in zip(whole, chunks, strict=True))
    weights = (-chunks[0] - chunks[1]).double().exp().mean(0)
    assert torch.allclose(log_prob, weights.log().float(), atol=1e-4)


@pytest.mark.parametrize("rows", [1, 5, 12])
def test_bounds_of_a_portion_of_the_draws_join_to_that_of_all(monkeypatch, rows):
    model, x = initialized(VLAE | {"latent_dim": 16}, (1, 6, 6)), binary_images(1, (1, 6, 6))
    whole = model.log_prob(x, 12, torch.Generator().manual_seed(0))
    monkeypatch.setattr(model, "rows_at_once", rows)
    assert torch.allclose(whole, model.log_prob(x, 12, torch.Generator().manual_seed(0)), atol=1e-4)


def test_importance_samples_must_be_positive():
    model = build_model(VAE, image_shape=(1, 6, 6))
    with pytest.raises(ValueError, match="at least 1"):
        model.log_prob(binary_images(1, (1, 6, 6)), 0)


@pytest.mark.parametrize(
    "block",
    [
        VLAE,
        PIXELCNN,
        VLAE | {"context": "full"},
        VLAE | {"masked_layers": 2},
        PIXELCNN | {"context": "full", "masked_layers": 2},
        *(PIXELCNN | {"context": name} for name in ("1x1", "4x2", "5x3", "downsampled")),
    ],
)
def test_sampling_equals_whole_passes_pixel_by_pixel(block):
    assert 0.02 < sampled_both_ways(block, (1, 9, 5)).mean() < 0.98


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 4), (1, 4, 1), (1, 2, 3)])
@pytest.mark.parametrize("context", ["stack", "full", "1x1", "4x2", "downsampled"])
def test_sampling_equals_whole_passes_in_the_smallest_images(context, shape):
    for block in (VLAE, PIXELCNN):
        sampled_both_ways(block | {"context": context}, shape)


def sampled_both_ways(block, shape):
    """Six images, drawn with features kept, which are those of a whole pass for every pixel."""
    model = initialized(block, shape, scale=0.5)
    uniforms = torch.rand(6, *shape, generator=torch.Generator().manual_seed(0))
    latent = hasattr(model, "decoder")
    network = model.decoder.network if latent else model.network
    maps = model.decoder.generator(torch.randn(6, 3)) if latent else model.maps.expand(6, -1, -1, -1)
    x = torch.zeros_like(uniforms)
    with torch.no_grad():
        for row, column in itertools.product(range(shape[1]), range(shape[2])):
            x[:, :, row, column] = (uniforms < network(x, maps).sigmoid())[:, :, row, column].float()
        assert torch.equal(network.sample(maps, uniforms), x)
    return x


def test_samples_follow_the_model():
    """Frequencies of 2×2 images among samples are the probabilities of an exact model."""
    model = initialized(PIXELCNN, (1, 2, 2), scale=5)
    samples = model.sample(20000, torch.Generator().manual_seed(0)).flatten(1)
    codes = (samples * 2 ** torch.arange(4)).sum(1).long()
    frequencies = torch.bincount(codes, minlength=16) / len(samples)
    assert torch.allclose(frequencies, model.log_prob(all_binary_images(2, 2)).exp(), atol=0.015)


def test_encode_decompress_and_sample_shapes_and_seeds(generator):
    model, x = initialized(VLAE, (1, 6, 5)), binary_images(4, (1, 6, 5))
    z = model.encode(x, generator)
    assert z.shape == (4, 3)
    draws = [model.decompress(z, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert draws[0].shape == x.shape
    assert set(draws[0].unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert model.sample(3, generator).shape == (3, 1, 6, 5)
