"""The models of colour images as wholes: bounds, shapes, networks, and what is refused."""

import numpy as np
import pytest
import torch
from conftest import COLOR_VLAE, color_images

from pipeline import build_model
from pipeline.config import ColorModelConfig
from pipeline.evaluation.structure import coarse, luma
from pipeline.fast import accelerate
from pipeline.models.color import BLOCKS, CoarseMaps, DenseBlock, MapGenerator, MapPosterior, trunk
from pipeline.models.layers import initialize
from pipeline.schema import ParamError

SHAPE = (3, 8, 12)
BLOCKS_OF_PARTS = [
    COLOR_VLAE,
    COLOR_VLAE | {"network": "densenet", "grayscale": True},
    COLOR_VLAE | {"luma_map": True},
    COLOR_VLAE | {"posterior": "iaf", "prior": "gaussian", "decoder": "factorized"},
    COLOR_VLAE | {"decoder": "factorized"},
]


def initialized(block, shape=SHAPE):
    model = accelerate(build_model(block, shape))
    initialize(model, color_images(64, shape), torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize("block", BLOCKS_OF_PARTS)
def test_a_model_of_any_parts_encodes_decompresses_and_samples_levels(block):
    model, x = initialized(block), color_images(4, SHAPE)
    z = model.encode(x, torch.Generator().manual_seed(0))
    assert z.shape == (4, 4 * 2 * 3)
    for images in (model.decompress(z), model.sample(4)):
        assert images.shape == x.shape
        assert torch.equal(images, images.round().clamp(0, 255))
    parts = model.loss(x, torch.Generator().manual_seed(3))
    elbo = model.log_prob(x, 1, torch.Generator().manual_seed(3))
    assert torch.allclose(elbo, -(parts["reconstruction"] + parts["kl"]), rtol=1e-5)


def test_posterior_and_prior_of_the_flow_agree_with_their_sum_of_terms():
    """KL by one-sample terms of an AF prior: log q(z|x) − log p(z), p(z) by the change of variables."""
    model, x = initialized(COLOR_VLAE), color_images(2, SHAPE)
    z, terms = model.draw(model.posterior_parameters(x), torch.Generator().manual_seed(1))
    mean, log_scale, _ = model.posterior.encode(x)
    log_q = torch.distributions.Normal(mean, log_scale.exp()).log_prob(z).sum(1)
    log_p = torch.distributions.Normal(0, 1).log_prob(model.prior.flow.inverse(z)).sum(1)
    assert torch.allclose(terms.sum(1), log_q - log_p, atol=1e-2)
    assert torch.allclose(model.prior.transform(model.prior.noise(z)), z, atol=1e-3)


def test_the_unconditional_decoder_is_exact_and_needs_no_code():
    model = initialized(COLOR_VLAE | {"posterior": "none", "prior": "none"})
    x = color_images(3, SHAPE)
    assert torch.equal(model.log_prob(x), -model.loss(x)["reconstruction"])
    assert model.sample(2).shape == (2, *SHAPE)


def test_networks_have_the_papers_blocks():
    """2, 2 and 3 ResNet blocks; each pair becomes a DenseNet block of 3 steps, slightly wider than the ResNet."""
    assert BLOCKS == (2, 2, 3)
    assert [len(trunk("resnet", 96, count)[0]) for count in BLOCKS] == [2, 2, 3]
    layers, width = trunk("densenet", 96, 3)
    assert [type(layer).__name__ for layer in layers] == ["DenseBlock", "ResidualBlock"]
    assert width == 99
    assert DenseBlock(48).outputs == 51


@pytest.mark.parametrize("network", ["resnet", "densenet"])
def test_z_is_sixteen_maps_of_a_quarter_of_the_size(network):
    block = ColorModelConfig(network, "gaussian", "af", "pixelcnnpp", channels=8, inner_channels=12)
    posterior = MapPosterior(block, 3)
    mean, log_scale, _ = posterior.encode(color_images(2, (3, 32, 32)))
    assert mean.shape == log_scale.shape == (2, 1024)
    assert MapGenerator(block, (16, 8, 8), 5)(mean).shape == (2, 5, 32, 32)


def test_z_is_not_mostly_noise_at_the_start():
    mean, log_scale, _ = initialized(COLOR_VLAE).posterior.encode(color_images(64, SHAPE))
    assert mean.std().item() == pytest.approx(1, rel=0.01)
    assert log_scale.mean().item() == pytest.approx(-2, abs=0.01)
    assert log_scale.std().item() == pytest.approx(0.1, rel=0.02)


def test_the_luma_map_holds_the_means_of_blocks():
    model, x = initialized(COLOR_VLAE | {"luma_map": True}), color_images(8, SHAPE)
    with torch.no_grad():
        model.posterior.luma_gain.fill_(0.5)
    mean, _, _ = model.posterior.encode(x)
    expected = coarse(luma(x.numpy().astype(float))) / 127.5 - 1  # twice half of it
    assert np.allclose(mean[:, :6].detach().numpy(), expected.reshape(8, -1), atol=1e-5)
    plain, _, _ = initialized(COLOR_VLAE).posterior.encode(x)
    assert mean.shape == plain.shape


def test_a_value_of_the_luma_map_is_told_to_its_block_and_those_left_and_above():
    told = CoarseMaps(5)
    coarse = torch.randn(1, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    other = coarse.clone()
    other[0, 0, 1, 2] += 1
    changed = (told(coarse) != told(other)).any(1)[0]
    expected = torch.zeros(12, 16, dtype=torch.bool)
    expected[:8, 4:12] = True
    assert torch.equal(changed, expected)


def test_pixels_of_a_block_are_told_where_they_are():
    maps = CoarseMaps(5)(torch.zeros(1, 1, 2, 2))[0]
    assert torch.equal(maps[:, :4, :4], maps[:, 4:, 4:])
    assert len(maps[:, :4, :4].flatten(1).unique(dim=1).T) == 16


def test_paper_sizes_are_the_defaults():
    block = ColorModelConfig("resnet", "gaussian", "af", "pixelcnnpp")
    assert (block.channels, block.inner_channels, block.latent_maps) == (48, 96, 16)
    assert (block.flow_steps, block.flow_maps) == (6, (128, 128))
    assert (block.blocks, block.filters, block.context) == (4, 64, "7x4")
    assert block.objective == "soft_free_bits"


def test_a_colour_block_is_checked():
    with pytest.raises(ParamError, match="context"):
        build_model(COLOR_VLAE | {"context": "4x4"})
    with pytest.raises(ParamError, match="network"):
        build_model(COLOR_VLAE | {"network": "vgg"})


def test_images_that_have_no_quarter_are_refused():
    with pytest.raises(ParamError, match=r"image_shape = \(3, 30, 32\): must be .* that 4 divides"):
        build_model(COLOR_VLAE, (3, 30, 32))
