"""Causality of every masked stack, by autograd."""

import pytest
import torch
from conftest import VLAE

from pipeline import build_model
from pipeline.config import ModelConfig
from pipeline.models.flows import MADE
from pipeline.models.masked import MaskedConv2d, Reach, WholeImageConv2d
from pipeline.models.pixelcnn import PixelCNN


def pixelcnn(size=(28, 28), kernel_size=3, layers=6, tied=True, context="stack", first_kernel_size=None):
    sizes = {"kernel_size": kernel_size, "first_kernel_size": first_kernel_size, "masked_layers": layers, "filters": 4}
    chosen = sizes | {"tied": tied, "context": context, "conditioning_maps": 2, "conditioning_scale": 1.0}
    network = PixelCNN(ModelConfig("gaussian", "af", "pixelcnn", **chosen), (1, *size))
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


def test_a_wider_first_mask_reaches_two_pixels_further_in_every_direction():
    seen = context(pixelcnn(first_kernel_size=7), (1, 28, 28), (14, 14))
    rows, columns = seen.nonzero().T
    assert (rows.min(), columns.min()) == (14 - 8, 14 - 8)
    assert [int(columns[rows == 14 - up].max()) - 14 for up in range(1, 9)] == [3, 4, 5, 6, 7, 8, 8, 8]
    assert seen.sum() == 8 + sum(9 + right for right in (3, 4, 5, 6, 7, 8, 8, 8))


@pytest.mark.parametrize(("window", "pixels"), [("4x2", 10), ("5x3", 17), ("7x4", 31), ("1x1", 1), ("3x1", 4)])
def test_a_window_is_a_wide_and_b_tall_above_the_pixel_and_half_as_wide_to_its_left(window, pixels):
    wide, tall = map(int, window.split("x"))
    seen = context(pixelcnn(context=window), (1, 28, 28), (14, 14))
    rows, columns = seen[:14].nonzero().T
    left = wide // 2
    assert (14 - tall, 14 - left) == (rows.min(), columns.min())
    assert len(rows) == wide * tall == (14 - rows.min()) * (columns.max() - columns.min() + 1)
    assert seen[14].nonzero().flatten().tolist() == list(range(14 - left, 14))
    assert seen.sum() == pixels


def test_downsampled_context_is_the_averages_of_the_blocks_above():
    size = (10, 14)
    logits = pixelcnn(size, context="downsampled")
    for pixel in ((0, 0), (3, 13), (4, 0), (5, 9), (9, 13)):
        expected = torch.zeros(size, dtype=torch.bool)
        expected[: pixel[0] // 4 * 4] = True
        assert torch.equal(context(logits, (1, *size), pixel), expected)
    image = torch.rand(1, 1, *size)
    rearranged = image.clone()
    rearranged[..., 4:8, 4:8] = image[..., 4:8, 4:8].flip(-1, -2)  # the same average
    rearranged[..., 8:, 12:] = image[..., 8:, 12:].flip(-1)  # the block at the edge, 2 × 2
    assert torch.allclose(logits(image), logits(rearranged), atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("stack", ["stack", "full", "downsampled", "4x2", "9x9"])
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
    layer = MaskedConv2d(2, 3, Reach.square(5), "B")
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
    jacobian = total_jacobian(made, dim)
    assert (jacobian.triu() == 0).all()
    assert ((jacobian > 0) == torch.ones(dim, dim).tril(-1).bool()).all()


@pytest.mark.parametrize("hidden", [(), (32,), (32, 32)])
def test_made_with_context_stays_autoregressive_and_every_output_but_the_first_sees_the_context(hidden):
    made = MADE(5, hidden, context=3)
    assert (total_jacobian(lambda z: made(z, torch.ones(1, 3)), 5).triu() == 0).all()
    by_context = total_jacobian(lambda context: made(torch.ones(1, 5), context), 5, 3)
    assert (by_context[1:] > 0).all()


def total_jacobian(function, outputs, inputs=None):
    """(outputs, inputs): sums of |∂ output / ∂ input| over several points, since a ReLU may be off at one of them."""
    inputs = inputs or outputs
    points = torch.randn(8, 1, inputs)
    return sum(torch.autograd.functional.jacobian(function, point).view(outputs, inputs).abs() for point in points)
