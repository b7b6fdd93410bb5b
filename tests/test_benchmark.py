"""What the benchmark's figures rest on: what the obvious way is, counted operations, and measured memory."""

import pytest
import torch
from conftest import ROOT, VLAE, binary_images

from pipeline import benchmark, build_model
from pipeline.config import load_params
from pipeline.fast import FAST, accelerate
from pipeline.models.layers import Conv2d, ConvTranspose2d, Linear
from pipeline.models.masked import MaskedConv2d, Reach


def test_plainly_goes_by_contiguous_layers_and_puts_everything_back():
    model = accelerate(build_model(VLAE, (1, 8, 8)))
    last, fast = torch.channels_last, [type(module) for module in model.modules()]

    def call():
        assert not {type(module) for module in model.modules()} & set(FAST)
        assert torch.channels_last is torch.contiguous_format
        return model.log_prob(binary_images(2, (1, 8, 8)), 3)

    with torch.no_grad():
        assert benchmark._plainly(model, call)().shape == (2,)
    with pytest.raises(ZeroDivisionError):
        benchmark._plainly(model, lambda: 1 / 0)()
    assert [type(module) for module in model.modules()] == fast
    assert torch.channels_last is last


@pytest.mark.parametrize(
    ("layer", "shape", "operations"),
    [
        (Linear(3, 5), (2, 3), 2 * 2 * 3 * 5),
        (Conv2d(3, 5, stride=2), (2, 3, 8, 8), 2 * 2 * 9 * 3 * 5 * 16),
        (ConvTranspose2d(3, 5, (8, 8)), (2, 3, 4, 4), 2 * 2 * 9 * 3 * 5 * 16),
        (MaskedConv2d(3, 5, Reach.square(3), "B"), (2, 3, 4, 4), 2 * 2 * 5 * 3 * 5 * 16),
    ],
)
def test_operations_are_a_product_and_a_sum_for_every_unmasked_weight_at_every_place(layer, shape, operations):
    assert benchmark._operations(layer, lambda: layer(torch.zeros(shape))) == operations


def test_4096_samples_need_less_than_a_gigabyte_more_than_one():
    params = load_params(ROOT / "params.yaml")
    one, many = (benchmark._peak_megabytes(params, draws) for draws in (1, 4096))
    assert many - one < 1000
