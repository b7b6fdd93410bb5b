"""The compiled decoder against the same network layer by layer: values, gradients, and when it is not to be used."""

import copy
import ctypes
import platform
import runpy
import shutil

import pytest
import torch
from conftest import PIXELCNN, VLAE, binary_images

from pipeline import build_model
from pipeline.fast import accelerate, kernels, library
from pipeline.fast.decoders import FastPixelCNN
from pipeline.fast.kernels import compiled_generator
from pipeline.models.layers import initialize
from pipeline.training.updates import one_pass

there = any(map(shutil.which, ("c++", "g++", "clang++")))
pytestmark = pytest.mark.skipif(not there, reason="no C++ compiler")
SHAPE = (1, 9, 11)
LARGER = {"filters": 12, "conditioning_maps": 4, "masked_layers": 6, "encoder_channels": [16, 20, 32]}
BLOCKS = [
    VLAE,
    VLAE | LARGER,
    VLAE | {"conditioning_maps": 6, "masked_layers": 3, "tied": False},
    VLAE | {"filters": 17, "kernel_size": 5},
    VLAE | {"context": "full"},
    VLAE | {"context": "5x3"},
    VLAE | {"context": "downsampled"},
    VLAE | {"masked_layers": 1},
    PIXELCNN | {"masked_layers": 5},
]


def network(model):
    return getattr(getattr(model, "decoder", model), "network", None)


def pair(block, shape=SHAPE):
    """A model, and the same layer by layer, with weights far from their initialisation."""
    slow = build_model(block, image_shape=shape)
    initialize(slow, binary_images(32, shape), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in slow.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    fast = accelerate(copy.deepcopy(slow))
    decoder = network(fast)
    if isinstance(decoder, FastPixelCNN):
        assert decoder.compiled() is not None  # or there would be nothing to compare
    return fast, slow


def gradients(model, x, weights):
    parts = model.loss(x, torch.Generator().manual_seed(1))
    loss = (weights * parts["reconstruction"]).sum() + parts["kl"].mean()
    return parts["reconstruction"].detach(), torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)


def assert_same(fast, slow, x, weights):
    (value, found), (expected, right) = (gradients(model, x, weights) for model in (fast, slow))
    assert torch.allclose(value, expected, atol=1e-3, rtol=1e-5)
    for a, b in zip(found, right, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, atol=2e-4 * (1e-3 + b.abs().max().item()))


@pytest.fixture(params=[1, 3])
def _threads(request):
    torch.set_num_threads(request.param)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("weights", ["equal", "different", "zero"])
@pytest.mark.parametrize("block", BLOCKS)
def test_log_prob_and_gradients_are_those_of_the_layers(block, weights):
    x = binary_images(7, SHAPE, 1)
    loss_weights = {"equal": torch.full((7,), 0.3), "different": torch.rand(7), "zero": torch.zeros(7)}[weights]
    assert_same(*pair(block), x, loss_weights)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("block", [*BLOCKS[:2], VLAE | {"decoder": "factorized"}])
@pytest.mark.parametrize("shape", [(1, 9, 11), (1, 28, 28), (1, 5, 2)])
def test_the_generator_is_that_of_the_layers(block, shape):
    fast, slow = (model.decoder.generator for model in pair(block, shape))
    assert compiled_generator(tuple(fast.geometry())).takes(fast)
    z = 3 * torch.randn(5, 3)
    with torch.no_grad():
        assert torch.allclose(fast(z), slow(z), atol=1e-4)
    assert torch.equal(fast(z), slow(z))  # with gradients both go by the layers


def test_an_image_of_many_pixels_near_even_odds_is_no_overflow():
    fast, slow = map(network, pair(VLAE | LARGER, (1, 40, 40)))
    for parameter in (*fast.head.parameters(), *slow.head.parameters()):
        parameter.data.mul_(1e-3)
    x, maps = binary_images(2, (1, 40, 40)), torch.randn(2, 4, 40, 40)
    assert torch.allclose(fast.log_prob(x, maps), slow.log_prob(x, maps), atol=2e-3)
    assert fast.log_prob(x, maps).mean() < -1000


def test_each_thread_sums_weight_gradients_of_its_own_in_a_fixed_order(monkeypatch):
    torch.set_num_threads(3)
    kept, original = [], kernels._gradients
    monkeypatch.setattr(kernels, "_gradients", lambda *inputs: kept.append(original(*inputs)) or kept[-1])
    model = pair(VLAE | LARGER)[0]
    x = binary_images(7, SHAPE, 1)
    first, second = (gradients(model, x, torch.ones(7))[1] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert [bool(row.abs().sum() > 0) for row in kept[0][2]] == [True] * 3


@pytest.mark.parametrize(
    ("images", "features", "maps"),
    [
        ((2, 1, 9, 11), (2, 4, 9, 11), (2, 2, 8, 11)),
        ((2, 1, 9, 11), (2, 4, 9, 10), (2, 2, 9, 11)),
        ((2, 1, 9, 11), (1, 4, 9, 11), (2, 2, 9, 11)),
        ((2, 1, 9, 11), (2, 4, 9, 11), (5, 2, 9, 11)),
        ((2, 1, 9, 11), (2, 3, 9, 11), (2, 2, 9, 11)),
        ((2, 2, 9, 11), (2, 4, 9, 11), (2, 2, 9, 11)),
    ],
)
@torch.no_grad()
def test_shapes_that_do_not_belong_together_are_refused(images, features, maps):
    net = network(pair(VLAE)[0])
    with pytest.raises(ValueError, match="must be of one size"):
        net.log_prob_given(torch.zeros(images), torch.zeros(features), torch.zeros(maps))


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(2, 3).double(),
        torch.zeros(3, 2).t(),
        torch.zeros(2, 4),
        torch.zeros(6),
        torch.zeros(2, 3, device="meta"),
    ],
)
def test_no_address_is_given_away_of_other_numbers_than_are_wanted(wrong):
    assert library.checked(torch.zeros(2, 3), 2, 3).shape == (2, 3)
    with pytest.raises(ValueError, match="must be"):
        library.checked(wrong, 2, 3)


@torch.no_grad()
def test_too_few_weights_are_refused():
    fast, x = pair(VLAE)[0].decoder, binary_images(2, SHAPE)
    weights, compiled = list(fast.network.weights()), fast.network.compiled()
    with pytest.raises(ValueError, match="must be"):
        compiled(x, torch.zeros(2, 4, *SHAPE[1:]), torch.zeros(2, 2, *SHAPE[1:]), weights[1:])
    with pytest.raises(ValueError, match="must be"):
        compiled_generator(tuple(fast.generator.geometry()))(torch.zeros(2, *fast.generator.start), weights)


def test_foreign_functions_know_their_arguments():
    fast = pair(VLAE)[0].decoder
    for one in (fast.network.compiled(), compiled_generator(tuple(fast.generator.geometry())), one_pass):
        assert one.function.argtypes == list(one.types)
        with pytest.raises(ctypes.ArgumentError):
            one.call(*[object()] * len(one.types))
        with pytest.raises(TypeError):
            one.call()


def test_gradients_of_the_image_are_those_of_the_layers():
    maps, x = torch.randn(2, 2, *SHAPE[1:]), binary_images(2, SHAPE).requires_grad_()
    fast, slow = (torch.autograd.grad(network(model).log_prob(x, maps).sum(), x)[0] for model in pair(VLAE))
    assert torch.allclose(fast, slow, atol=1e-4)


@pytest.mark.parametrize("block", [VLAE, VLAE | {"decoder": "factorized"}, VLAE | {"context": "full"}])
def test_importance_sampling_is_that_of_the_layers(block):
    """The mean of these 40 NLLs agrees within the 0.001 nats that a change of the code may cost."""
    x = binary_images(40, SHAPE, 1)
    fast, slow = (model.log_prob(x, 16, torch.Generator().manual_seed(2)) for model in pair(block | {"latent_dim": 16}))
    assert abs(fast.mean() - slow.mean()) < 1e-4
    assert torch.allclose(fast, slow, atol=1e-3)


@pytest.mark.parametrize("place", ["features", "maps"])
def test_what_is_not_a_number_stays_visible(place):
    net = network(pair(VLAE)[0])
    x = binary_images(2, SHAPE)
    maps, features = torch.randn(2, 2, *SHAPE[1:]), net.image_layer(x).detach()
    (features if place == "features" else maps)[1, 1, 3, 3] = torch.nan
    assert net.log_prob_given(x, features, maps).isnan().tolist() == [False, True]


def test_extreme_features_give_the_same():
    fast, slow = map(network, pair(VLAE))
    x = binary_images(2, SHAPE)
    maps, features = torch.randn(2, 2, *SHAPE[1:]), 300 * torch.randn(2, 4, *SHAPE[1:])
    expected = slow.likelihood.log_prob(slow.conditioned(features, maps), x)
    assert torch.allclose(fast.log_prob_given(x, features, maps), expected, rtol=1e-4)


@pytest.fixture
def _compiled_anew(monkeypatch, tmp_path):
    """Nothing compiled yet, in this process and in the cache folder, which is `tmp_path`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.library.cache_clear()
    yield
    library.library.cache_clear()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86 alone it is known what every processor has")
@pytest.mark.usefixtures("_compiled_anew")
@pytest.mark.parametrize("block", [*BLOCKS[:2], BLOCKS[3]])
def test_registers_of_four_floats_give_the_same(monkeypatch, block):
    monkeypatch.setattr(library, "FLAGS", (*library.FLAGS, "-march=x86-64"))
    model, slow = pair(block)
    assert_same(model, slow, binary_images(3, SHAPE), torch.rand(3))
    z = torch.randn(5, 3)
    with torch.no_grad():
        assert torch.allclose(model.decoder.generator(z), slow.decoder.generator(z), atol=1e-4)


@pytest.mark.usefixtures("_compiled_anew")
def test_without_a_compiler_it_goes_by_the_layers_and_says_so(monkeypatch, caplog):
    fast, slow = (network(model) for model in pair(VLAE))
    monkeypatch.setattr(library.shutil, "which", lambda name: None)
    library.library.cache_clear()
    x, maps = binary_images(3, SHAPE), torch.ones(3, 2, 9, 11)
    assert torch.equal(fast.log_prob(x, maps), slow.log_prob(x, maps))
    assert "no C++ compiler" in caplog.text


@pytest.mark.usefixtures("_compiled_anew")
def test_a_compiler_that_fails_is_named(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(library, "FLAGS", ("--no-such-flag",))
    assert library.library("generator.cpp", LANES=16) is None
    assert "no-such-flag" in caplog.text
    assert not list(tmp_path.rglob("*.so"))


@pytest.mark.usefixtures("_compiled_anew")
def test_a_library_is_compiled_again_when_source_or_processor_change(monkeypatch, tmp_path):
    def made():
        library.library.cache_clear()
        assert library.library("generator.cpp", LANES=4) is not None
        return len(list(tmp_path.rglob("*.so")))

    assert (made(), made()) == (1, 1)
    monkeypatch.setattr(library, "_processor", lambda: "another")
    assert made() == 2
    sources = tmp_path / "cpp"
    shutil.copytree(library.SOURCES, sources)
    monkeypatch.setattr(library, "SOURCES", sources)
    assert made() == 2
    (sources / "vectors.h").write_text((sources / "vectors.h").read_text() + "// changed")
    assert made() == 3


def test_the_module_loads_where_processes_cannot_fork_as_on_windows(monkeypatch):
    monkeypatch.delattr("os.register_at_fork")
    assert "in_parts" in runpy.run_path(library.__file__)
