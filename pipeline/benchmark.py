"""What `make bench` measures: the fast ways of sampling, likelihood and training beside the obvious ones.

Every ratio is of two things measured in turn in the same run. The obvious ways are the models' own layers, so that both
sides compute the same numbers; tests compare these.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import torch
from torch import Tensor

from pipeline.config import Params
from pipeline.fast import accelerate
from pipeline.models.build import build_model
from pipeline.models.layers import WeightNorm, initialize
from pipeline.models.pixelcnn import PixelCNN
from pipeline.models.vlae import LatentVariableModel, Model
from pipeline.training.batches import Batches
from pipeline.training.gradients import CapturedGradients
from pipeline.training.loop import Plan, _start, _step, validate
from pipeline.training.objectives import Objective
from pipeline.training.workers import Workers

SHAPE = (1, 28, 28)
BATCH, LARGE_BATCH = 32, 128
"""Of scales hours and paper, and one at which less time goes into what a step costs whatever its batch."""
STATUS = Path("/proc/self/status")
"""Where Linux says how much memory a process has held; elsewhere that is not measured."""
RUNS = 7
Row = tuple[str, str, str, str]
"""What, the obvious way, ours, and the ratio."""


def sampling(params: Params) -> Iterator[Row]:
    """64 images; the obvious way passes all of them through the network for each of 784 pixels."""
    for name in ("vlae", "pixelcnn", "vlae_full_context"):
        model = _model(params, name)
        network = cast(PixelCNN, model.decoder.network if isinstance(model, LatentVariableModel) else model.network)
        maps = torch.randn(64, network.maps_layer.direction.shape[1], *SHAPE[1:])
        uniforms, x = torch.rand(64, *SHAPE), torch.zeros(64, *SHAPE)
        row, ours = _seconds(
            partial(_repeat, SHAPE[2], partial(network, x, maps)), partial(network.sample, maps, uniforms)
        )
        usual = SHAPE[1] * row
        yield f"64 images of `{name}` (28 of the 784 passes timed)", _s(usual), _s(ours), _x(usual, ours)
    flow = cast(Any, _model(params, "vlae")).prior.flow
    noise = torch.randn(64, flow.shifts[0].layers[0].direction.shape[1])
    usual, ours = _seconds(lambda: [shift(noise) for shift in flow.shifts for _ in noise[0]], lambda: flow(noise))
    yield "64 draws of z from the AF prior", _s(usual), _s(ours), _x(usual, ours)


def likelihood(params: Params) -> Iterator[Row]:
    """Importance sampling; the obvious way is a loop over the samples with every layer in plain float32."""
    model, x, draws = _model(params, "vlae"), _images(50), 64
    assert isinstance(model, LatentVariableModel)

    def usual() -> Tensor:
        parameters, log_weights = model.posterior.encode(x), []
        for _ in range(draws):
            z, kl = model.draw(parameters)
            log_weights.append(model.decoder.log_prob(x, z) - kl.sum(-1))
        return torch.stack(log_weights).logsumexp(0) - math.log(draws)

    slow, fast = _seconds(_plainly(model, usual), lambda: model.log_prob(x, draws))
    rates = draws * len(x) / slow, draws * len(x) / fast
    name = f"decoder evaluations a second, {len(x)} images, K = {draws}"
    yield name, f"{rates[0]:,.0f}", f"{rates[1]:,.0f}", _x(slow, fast)
    if STATUS.exists():
        small, large = (_peak_megabytes(params, draws) for draws in (1, 4096))
        yield "memory that K = 4096 needs beyond K = 1", "", f"{large - small:,.0f} MB", ""


def training(params: Params, bfloat16: bool) -> Iterator[Row]:
    """Whole steps; the obvious way is layer by layer in contiguous float32, and torch's calls."""
    for model, batch in itertools.product(("vlae", "vae", "pixelcnn"), (LARGE_BATCH, BATCH)):
        ours, plain = (_Training(params, model, half, batch=batch) for half in (bfloat16, False))
        plain.state.updates.compiled = False
        slow, fast = _seconds(_plainly(plain.state.model, plain.step), ours.step, gradients=True)
        name = f"images a second, `{model}`, batches of {batch}"
        yield name, f"{batch / slow:,.0f}", f"{batch / fast:,.0f}", _x(slow, fast)


def overhead(params: Params, bfloat16: bool) -> Iterator[tuple[str, str]]:
    """What a training of `vlae` does beside its steps, at the cadence of scale paper, as a part of the steps' time."""
    trained, budget = _Training(params, "vlae", bfloat16), params.scales["paper"].binary
    step, validation = _seconds(trained.step, lambda: validate(trained.state.model, _images(1000), 0), gradients=True)
    with tempfile.TemporaryDirectory() as folder:
        (saving,) = _seconds(lambda: trained.state.save(Path(folder) / "c.pt"))
    yield "validation, 10,000 images", f"{10 * validation / (budget.training.validate_every * step):.2%}"
    yield f"a checkpoint every {params.checkpoint_seconds:.0f} s", f"{saving / params.checkpoint_seconds:.2%}"
    reading, writing = _seconds(lambda: trained.batches.batch(5), lambda: trained.plan.rate(5))
    yield "batch and learning rate", f"{(reading + writing) / step:.2%}"


def profile(params: Params, bfloat16: bool) -> Iterator[tuple[str, str, str]]:
    """A step of `vlae` in batches of 32, part by part: forward and backward, and the floor, milliseconds.

    The floor is the part's multiplications and additions (backward: twice the forward's) over the machine's rate in
    matrix products, in the precision that the part computes in; of the optimiser, its bytes over the rate of copying.
    """
    trained, x, layers = _Training(params, "vlae", bfloat16), _images(BATCH), "bfloat16" if bfloat16 else "float32"
    model, rates = cast(Any, trained.state.model), machine_rates()
    z = torch.randn(BATCH, model.latent_dim, requires_grad=True)
    with torch.no_grad():
        maps = model.decoder.generator(z)
    maps.requires_grad_()
    parts: dict[str, tuple[torch.nn.Module, Callable[[], Tensor], str]] = {
        "encoder": (model.posterior, lambda: torch.cat(model.posterior.encode(x)[:2], 1), layers),
        "AF prior": (model.prior, lambda: model.prior.log_prob_terms(z), layers),
        "generator": (model.decoder.generator, lambda: model.decoder.generator(z), layers),
        "PixelCNN": (model.decoder.network, lambda: model.decoder.network.log_prob(x, maps), "float32"),
    }
    for name, (part, compute, precision) in parts.items():
        inputs = [*part.parameters(), *((z,) if name in ("AF prior", "generator") else (maps,) * (name == "PixelCNN"))]

        def both(compute: Callable[[], Tensor] = compute, inputs: list[Tensor] = inputs) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                out = compute()
            torch.autograd.grad(out.sum(), inputs, allow_unused=True)

        (seconds,) = _seconds(both, gradients=True)
        layered = (lambda: model.decoder.network(x, maps)) if name == "PixelCNN" else compute
        floor = 3 * _operations(part, layered) / rates[precision]
        yield f"{name} ({precision})", f"{1e3 * seconds:.1f}", f"{1e3 * floor:.1f}"
    count = sum(parameter.numel() for parameter in model.parameters())
    trained.step()
    (seconds,) = _seconds(partial(trained.state.updates, 0.002), gradients=True)
    floor = 9 * 4 * count / rates["bytes"]  # weights, two moments and average read and written, gradients read
    yield f"optimiser and average of {count:,} weights", f"{1e3 * seconds:.1f}", f"{1e3 * floor:.1f}"


def machine_rates() -> dict[str, float]:
    """Operations a second in matrix products by precision, and bytes a second in copying (read and written)."""
    rates = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.randn(1024, 1024).to(dtype)
        rates[name] = 2 * 1024**3 / _seconds(partial(torch.matmul, a, a))[0]
    values, copy = torch.zeros(2**24), torch.zeros(2**24)
    return rates | {"bytes": 2 * 4 * 2**24 / _seconds(lambda: copy.copy_(values))[0]}


def start_up() -> Iterator[tuple[str, str]]:
    """Whole commands, in the project's folder; `dvc repro` only where everything is up to date."""
    python = sys.executable
    yield "`import pipeline.config`", _command(python, "-c", "import pipeline.config")
    status = subprocess.run([python, "-m", "dvc", "status", "dvc.yaml"], capture_output=True, encoding="utf-8")
    if "up to date" in status.stdout:
        yield "`dvc repro`, nothing to do", _command(python, "-m", "dvc", "repro")
    else:
        yield "`dvc repro`, nothing to do", "not measured: something is not up to date"


def gpu(params: Params) -> Iterator[tuple[str, str]]:
    """Images a second of `vlae` at batch 32 on a GPU, its gradients launched as one graph or kernel by kernel."""
    if not torch.cuda.is_available():
        yield "images a second, `vlae`", "not measured: no GPU here"
        return
    for name, captured in (("kernel by kernel", False), ("as a CUDA graph", True)):
        trained = _Training(params, "vlae", True, "cuda")
        if not captured:
            cast(CapturedGradients, trained.state.gradients.gradients[0]).failed = True
        (seconds,) = _seconds(partial(_repeat, 20, trained.step), gradients=True)
        yield f"images a second, `vlae`, {name}", f"{20 * BATCH / seconds:,.0f}"


class _Training:
    """A training that goes step by step."""

    def __init__(self, params: Params, name: str, bfloat16: bool, device: str = "cpu", batch: int = BATCH) -> None:
        self.plan = Plan(10**6, 0.002, 0.5, 0.998, Objective("free_bits", 7.84), bfloat16, 10**6, 0, 1, 1e9)
        self.batches = Batches(_images(1280).byte().to(device), False, batch, 0)
        model = accelerate(build_model(params.models[name], SHAPE)).to(device)
        self.state = _start(model, self.batches, self.plan, Path("no checkpoint"), None, Workers())

    def step(self) -> None:
        _step(self.state, self.batches, self.plan)


def _model(params: Params, name: str) -> Model:
    model = accelerate(build_model(params.models[name], SHAPE))
    initialize(model, _images(BATCH), torch.Generator().manual_seed(0))
    return model


def _images(count: int) -> Tensor:
    return (torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0)) < 0.2).float()


def _plainly(model: Model, call: Callable[[], Any]) -> Callable[[], Any]:
    """`call` with the definition of `model` on contiguous tensors; afterwards it is accelerated again."""

    def run() -> Any:
        accelerate(model, on=False)
        try:
            with mock.patch.object(torch, "channels_last", torch.contiguous_format):
                return call()
        finally:
            accelerate(model)

    return run


def _operations(part: torch.nn.Module, compute: Callable[[], Tensor]) -> float:
    """Multiplications and additions of the layers with weights in one forward pass, masked weights left out."""
    count = 0.0

    def add(layer: WeightNorm, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        weights = layer.direction.numel() if layer.mask is None else float(layer.mask.expand_as(layer.direction).sum())
        places = inputs[0] if layer.out_axis else output  # a transposed convolution visits its inputs
        count += 2 * weights * places.numel() / places.shape[1]

    layers = [module for module in part.modules() if isinstance(module, WeightNorm)]
    handles = [layer.register_forward_hook(add) for layer in layers]
    with torch.no_grad():
        compute()
    for handle in handles:
        handle.remove()
    return count


def _seconds(*calls: Callable[[], Any], gradients: bool = False) -> list[float]:
    """Median seconds of each call, all of them in turn, after one call that does not count."""
    with torch.set_grad_enabled(gradients):
        times: list[list[float]] = [[] for _ in calls]
        for run in range(RUNS + 1):
            for call, seconds in zip(calls, times, strict=True):
                start = time.perf_counter()
                call()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                if run:
                    seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in times]


def _command(*command: str) -> str:
    return _s(_seconds(lambda: subprocess.run(command, check=True, capture_output=True))[0])


def _peak_megabytes(params: Params, draws: int) -> float:
    """Most memory that a process of its own has held at the end of a `log_prob` with K = `draws`."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_log_prob_memory, (params, draws))


def _log_prob_memory(params: Params, draws: int) -> float:
    accelerate(build_model(params.models["vlae"], SHAPE)).log_prob(_images(4), draws)
    peak = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return float(peak.split()[1]) / 1024


def _repeat(times: int, call: Callable[[], Any]) -> None:
    for _ in range(times):
        call()


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1e3 * seconds:.1f} ms"


def _x(usual: float, ours: float) -> str:
    return f"{usual / ours:.1f}×"
