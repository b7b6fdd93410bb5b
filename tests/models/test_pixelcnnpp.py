"""The colour decoder: exact windows, grayscale windows, a distribution, and sampling that is the obvious way's."""

import pytest
import torch

from pipeline.config import ColorModelConfig
from pipeline.fast import accelerate
from pipeline.models.layers import initialize
from pipeline.models.levels import LUMA
from pipeline.models.likelihoods import LogisticMixture
from pipeline.models.pixelcnnpp import PixelCNNPP, Stacks

WINDOWS = {"3x2": 7, "4x2": 10, "5x3": 17, "6x3": 21, "7x4": 31}


def network(window="4x2", grayscale=False, channels=3, mixtures=3, blocks=3):
    sizes = {"channels": 4, "filters": 6, "blocks": blocks, "mixtures": mixtures}
    block = ColorModelConfig("resnet", "gaussian", "af", "pixelcnnpp", context=window, grayscale=grayscale, **sizes)
    return PixelCNNPP(block, LogisticMixture(mixtures, channels))


def levels(count, size, channels=3, seed=0):
    return (torch.rand((count, channels, *size), generator=torch.Generator().manual_seed(seed)) * 255).round()


def seen_by(net, size, pixel):
    """Pixels on which the parameters of `pixel` depend: (H, W) bool, by autograd."""
    x = levels(2, size).requires_grad_()
    parameters = net(x, torch.randn(2, 4, *size))
    (gradient,) = torch.autograd.grad(parameters[:, :, pixel[0], pixel[1]].sum(), x)
    return gradient.abs().sum((0, 1)) > 0


@pytest.mark.parametrize("grayscale", [False, True])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_window_is_exactly_a_wide_and_b_tall_and_half_as_wide_to_the_left(window, grayscale):
    wide, tall = map(int, window.split("x"))
    seen = seen_by(network(window, grayscale), (12, 12), (7, 6))
    expected = torch.zeros(12, 12, dtype=torch.bool)
    left = wide // 2
    expected[7 - tall : 7, 6 - left : 6 - left + wide] = True
    expected[7, 6 - left : 6] = True
    assert torch.equal(seen, expected)
    assert seen.sum() == WINDOWS[window]


@pytest.mark.parametrize("window", ["4x2", "5x3", "7x4"])
def test_no_pixel_sees_itself_or_a_later_one(window):
    size, net = (4, 5), network(window)
    order = torch.arange(20).view(size)
    for row in range(4):
        for column in range(5):
            assert not (seen_by(net, size, (row, column)) & (order >= order[row, column])).any()


@pytest.mark.parametrize("window", ["4x3", "1x1", "7x3"])
def test_other_windows_are_refused(window):
    with pytest.raises(ValueError, match=window):
        Stacks.of_window(window)


def test_layers_of_the_papers_windows():
    assert [Stacks.of_window(window) for window in ("4x2", "5x3", "7x4")] == [(1, 2), (2, 2), (3, 3)]


def test_a_grayscale_window_sees_luma_alone():
    """Other colours of the same gray change no parameter; another gray does, and in a colour window both do."""
    x, maps = levels(2, (8, 8)).double(), torch.randn(2, 4, 8, 8).double()
    across = torch.linalg.cross(torch.tensor(LUMA), torch.tensor([1.0, -0.4, 0.8])).double()  # luma · across = 0
    recoloured = x + 20 * across.view(1, 3, 1, 1) * torch.randn(2, 1, 8, 8).double()
    assert (recoloured - x).abs().max() > 10
    gray, color = network("7x4", True).double(), network("7x4").double()
    assert torch.allclose(gray(x, maps), gray(recoloured, maps), atol=1e-6)  # the luma weights are float32
    assert not torch.allclose(gray(x, maps), gray(x + 5, maps), atol=1e-3)
    assert not torch.allclose(color(x, maps), color(recoloured, maps), atol=1e-3)


def test_pixels_of_a_tiny_image_sum_to_one():
    """Two pixels of one channel: over all 256² images."""
    net = network("3x2", channels=1, mixtures=2, blocks=2)
    images = torch.cartesian_prod(torch.arange(256.0), torch.arange(256.0)).view(-1, 1, 1, 2)
    with torch.no_grad():
        log_probs = torch.cat([net.log_prob(part, torch.ones(len(part), 4, 1, 2)) for part in images.split(8192)])
    assert abs(log_probs.double().exp().sum().item() - 1) < 1e-4
    halves = log_probs.view(256, 256).log_softmax(1)
    assert (halves[0] - halves[255]).abs().max() > 1e-2  # the second pixel depends on the first


@pytest.mark.parametrize("window", ["3x2", "4x2", "5x3", "7x4"])
@pytest.mark.parametrize("size", [(9, 7), (3, 2), (5, 12)])
@pytest.mark.parametrize("grayscale", [False, True])
def test_sampling_equals_whole_passes_pixel_by_pixel(window, size, grayscale):
    net = network(window, grayscale).double()
    rng = torch.Generator().manual_seed(1)
    maps = torch.randn(3, 4, *size, generator=rng, dtype=torch.float64)
    uniforms = torch.rand(3, 4, *size, generator=rng, dtype=torch.float64)
    x = torch.zeros(3, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        for row in range(size[0]):
            for column in range(size[1]):
                x[..., row, column] = net.likelihood.sample(net(x, maps), uniforms)[..., row, column]
    assert torch.equal(accelerate(net).sample(maps, uniforms), x)
    assert x.std() > 20


def test_features_of_the_image_serve_any_number_of_codes():
    net, x, maps = accelerate(network()), levels(2, (6, 6)), torch.randn(6, 4, 6, 6)
    together = net.log_prob_given(x, net.image_features(x), maps)
    alone = torch.cat([net.log_prob(x, part) for part in maps.split(2)])
    assert torch.allclose(together, alone, atol=1e-3)


def test_reduced_precision_ends_before_the_mixture_parameters():
    """In bfloat16 a mean near 1 would be rounded to half a level."""
    net, x = network(), levels(2, (6, 6))
    with torch.autocast("cpu", torch.bfloat16):
        parameters = net(x, torch.randn(2, 4, 6, 6))
    assert parameters.dtype == torch.float32
    assert not torch.equal(parameters, parameters.bfloat16().float())


def test_every_layer_matters_and_starts_standardised():
    """After initialisation the head has mean 0 and its scale; every weight has a gradient."""
    net = network("7x4")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def parts(self, x, rng):
            return {"reconstruction": -net.log_prob(x, torch.randn(len(x), 4, 8, 8))}

    initialize(Model(), levels(32, (8, 8)), torch.Generator().manual_seed(0))
    x = levels(32, (8, 8))
    parameters = net(x, torch.randn(32, 4, 8, 8))
    assert abs(parameters.mean()) < 0.1
    assert 0.3 < parameters.std() < 0.7
    net.likelihood.log_prob(parameters, x).sum().backward()
    assert all((parameter.grad.abs() > 0).any() for parameter in net.parameters())
