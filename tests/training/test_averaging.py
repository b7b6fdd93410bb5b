"""The Polyak average against a direct computation."""

import torch

from pipeline.training.averaging import polyak_average


def test_average_is_the_recursion_written_out():
    model = torch.nn.Linear(3, 2).double()
    average = polyak_average(model, 0.6)
    expected = model.weight.detach().clone()
    generator = torch.Generator().manual_seed(0)
    for t in range(1, 40):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3, generator=generator, dtype=torch.float64))
        average.update_parameters(model)
        decay = min(0.6, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * model.weight.detach()
        assert torch.allclose(average.module.weight, expected, atol=1e-7)
    assert (1 + 39) / (10 + 39) > 0.6  # the constant rate of the paper was reached


def test_average_is_a_copy():
    model = torch.nn.Linear(3, 2)
    average = polyak_average(model, 0.998)
    before = average.module.weight.clone()
    with torch.no_grad():
        model.weight.zero_()
    assert torch.equal(average.module.weight, before)
