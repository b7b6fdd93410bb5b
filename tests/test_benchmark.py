"""What the benchmark's figures rest on: what the obvious way is, counted operations, and measured memory."""

import dataclasses

import pytest
import torch
from conftest import ROOT, VLAE, binary_images

from pipeline import benchmark, benchmark_training, build_model
from pipeline.config import load_params
from pipeline.fast import FAST, accelerate
from pipeline.models.layers import Conv2d, ConvTranspose2d, Linear
from pipeline.models.masked import MaskedConv2d, Reach
from stages import bench


def test_plainly_goes_by_the_layers_and_puts_everything_back():
    model = accelerate(build_model(VLAE, (1, 8, 8)))
    fast = [type(module) for module in model.modules()]

    def call():
        assert not {type(module) for module in model.modules()} & set(FAST)
        return model.log_prob(binary_images(2, (1, 8, 8)), 3)

    with torch.no_grad():
        assert benchmark.plainly(model, call)().shape == (2,)
    with pytest.raises(ZeroDivisionError):
        benchmark.plainly(model, lambda: 1 / 0)()
    assert [type(module) for module in model.modules()] == fast


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
    assert benchmark_training.operations(layer, lambda: layer(torch.zeros(shape))) == operations


def test_4096_samples_need_less_than_a_gigabyte_more_than_one():
    params = load_params(ROOT / "params.yaml")
    one, many = (benchmark._peak_megabytes(params, draws) for draws in (1, 4096))
    assert many - one < 1000


@pytest.fixture
def small(monkeypatch):
    """Parameters whose `vlae` is small, of small images; and what is measured is measured once."""
    monkeypatch.setattr(benchmark, "RUNS", 1)
    for module in (benchmark, benchmark_training):
        monkeypatch.setattr(module, "SHAPE", (1, 8, 8))
    params = load_params(ROOT / "params.yaml")
    tiny = {key: tuple(value) if isinstance(value, list) else value for key, value in VLAE.items()}
    return dataclasses.replace(
        params, models=params.models | {"vlae": dataclasses.replace(params.models["vlae"], **tiny)}
    )


@pytest.mark.parametrize("bfloat16", [False, True])
def test_each_trick_is_measured_alone_and_with_the_other(small, monkeypatch, bfloat16):
    chosen, with_tricks = [], benchmark_training.SomeTraining.with_tricks

    def noted(self, some):
        chosen.append((some, self.plan.bfloat16))
        return with_tricks(self, some)

    monkeypatch.setattr(benchmark_training.SomeTraining, "with_tricks", noted)
    cells = dict(zip(bench.TRICKS, next(benchmark_training.tricks(small, bfloat16)), strict=True))
    assert [name for name, cell in cells.items() if not cell] == ([] if bfloat16 else ["bfloat16", "both"])
    assert all(half == ("bfloat16" in some) for some, half in chosen)
    assert [some for some, _ in chosen] == [set(), {"C++"}, {"bfloat16"}, {"C++", "bfloat16"}][: 2 + 2 * bfloat16]


@pytest.mark.parametrize("name", ["vae", "narrow_7x4"])
def test_models_of_either_kind_train_step_by_step(name):
    trained = benchmark_training.SomeTraining(load_params(ROOT / "params.yaml"), name, True, batch=2)
    trained.step()
    assert trained.state.step == 1


def test_a_step_has_the_tricks_that_are_asked_for_and_no_others(small):
    trained = benchmark_training.SomeTraining(small, "vlae", False, batch=4)
    types = lambda: {type(module) for module in trained.state.model.modules()}  # noqa: E731
    trained.with_tricks(set())()
    assert not types() & set(FAST)
    assert not trained.state.updates.compiled
    trained.with_tricks({"C++"})()
    assert types() & set(FAST)
    assert trained.state.updates.compiled


def test_others_run_until_they_are_no_longer_needed():
    with benchmark_training.others(2, 19) as processes:
        assert [process.poll() for process in processes] == [None, None]
    assert all(process.poll() is not None for process in processes)
