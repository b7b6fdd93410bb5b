"""Causality of every masked stack, by autograd."""

import pytest
import torch
from conftest import VLAE

from pipeline import build_model
from pipeline.models.decoders import PixelCNN
from pipeline.models.masked import MADE, MaskedConv2d, WholeImageConv2d


def pixelcnn(size=(28, 28), kernel_size=3, layers=6, tied=True, context="stack"):
    network = PixelCNN((1, *size), 2, 4, kernel_size, layers, tied, context)
    maps = torch.randn(1, 2, *size)
    return lambda x: network(x, maps)


def context(logits, image_shape, pixel):
    """Which pixels of the input the output at `pixel` (row, column) depends on: (H, W) bool, by autograd.

    The inputs are random, so that no gradient vanishes by accident.
    """
    image = torch.rand((1, *image_shape), generator=torch.Generator().manual_seed(0), requires_grad=True)
    row, column = pixel
    (gradient,) = torch.autograd.grad(logits(image)[0, :, row, column].sum(), image)
    return gradient[0].abs().sum(0) > 0


def earlier(size, pixel):
    """Raster-order predecessors of `pixel`: (H, W) bool."""
    index = torch.arange(size[0] * size[1]).view(size)
    return index < index[pixel]


def test_paper_stack_sees_69_pixels():
    seen = context(pixelcnn(), (1, 28, 28), (14, 14))
    assert int(seen.sum()) == 69
    rows, columns = seen.nonzero().T
    assert rows.min() == 14 - 6
    assert columns.min() == 14 - 6
    right_edge = [int(columns[rows == 14 - up].max()) - 14 for up in range(1, 7)]
    assert right_edge == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("stack", ["stack", "full"])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_no_pixel_sees_itself_or_a_later_one(kernel_size, stack, tied):
    size = (5, 6)
    logits = pixelcnn(size, kernel_size, 4, tied, stack)
    for row in range(size[0]):
        for column in range(size[1]):
            seen = context(logits, (1, *size), (row, column))
            assert not (seen & ~earlier(size, (row, column))).any()


@pytest.mark.parametrize("pixel", [(0, 5), (1, 0), (3, 2), (4, 5)])
def test_full_context_sees_every_earlier_pixel(pixel):
    size = (5, 6)
    seen = context(pixelcnn(size, context="full", layers=2), (1, *size), pixel)
    assert torch.equal(seen, earlier(size, pixel))


def test_decoder_of_a_built_model_is_causal():
    model = build_model(VLAE, image_shape=(1, 6, 6))
    maps = torch.randn(1, 2, 6, 6)
    seen = context(lambda x: model.decoder.network(x, maps), (1, 6, 6), (3, 3))
    assert seen.any()
    assert not (seen & ~earlier((6, 6), (3, 3))).any()


def test_masked_convolution_equals_a_plain_one_with_a_masked_kernel():
    layer = MaskedConv2d(2, 3, (2, 2), "B")
    x = torch.randn(1, 2, 7, 7)
    kernel = torch.zeros(3, 2, 5, 5)
    kernel[:, :, :3] = layer.weight.detach()
    expected = torch.nn.functional.conv2d(x, kernel, layer.bias, padding=2)
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_whole_image_convolution_equals_the_two_dimensional_one():
    layer = WholeImageConv2d((2, 5, 4), 3)
    x = torch.randn(6, 2, 5, 4)
    layer.bias.data.normal_()
    assert torch.allclose(layer(x), MaskedConv2d.forward(layer, x), atol=1e-5)


@pytest.mark.parametrize("dim", [1, 2, 5, 9])
def test_made_is_strictly_autoregressive_and_complete(dim):
    made = MADE(dim, (32, 32))
    jacobian = torch.zeros(dim, dim)
    for _ in range(8):  # several points, since a ReLU may be off at one of them
        jacobian += torch.autograd.functional.jacobian(made, torch.randn(1, dim)).view(dim, dim).abs()
    assert (jacobian.triu() == 0).all()
    assert ((jacobian > 0) == torch.ones(dim, dim).tril(-1).bool()).all()
