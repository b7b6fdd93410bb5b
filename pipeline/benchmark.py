"""What `make bench` measures: the fast ways of sampling and likelihood beside the obvious ones, and start-up.

Every ratio is of two things measured in turn in the same run. The obvious ways are the models' own layers, so that both
sides compute the same numbers; tests compare these.
"""

from __future__ import annotations

import math
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.config import Params
from pipeline.fast import accelerate
from pipeline.models.build import build_model
from pipeline.models.layers import initialize
from pipeline.models.pixelcnn import PixelCNN
from pipeline.models.vlae import LatentVariableModel, Model

SHAPE = (1, 28, 28)
BATCH = 32
"""Of every scale, for binary images."""
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
        row, ours = seconds_of(
            partial(repeat, SHAPE[2], partial(network, x, maps)), partial(network.sample, maps, uniforms)
        )
        usual = SHAPE[1] * row
        yield f"64 images of `{name}` (28 of the 784 passes timed)", _s(usual), _s(ours), ratio(usual, ours)
    flow = cast(Any, _model(params, "vlae")).prior.flow
    noise = torch.randn(64, flow.shifts[0].layers[0].direction.shape[1])
    usual, ours = seconds_of(lambda: [shift(noise) for shift in flow.shifts for _ in noise[0]], lambda: flow(noise))
    yield "64 draws of z from the AF prior", _s(usual), _s(ours), ratio(usual, ours)


def likelihood(params: Params) -> Iterator[Row]:
    """Importance sampling; the obvious way is a loop over the samples with every layer in plain float32."""
    model, x, draws = _model(params, "vlae"), some_images(50), 64
    assert isinstance(model, LatentVariableModel)

    def usual() -> Tensor:
        parameters, log_weights = model.posterior.encode(x), []
        for _ in range(draws):
            z, kl = model.draw(parameters)
            log_weights.append(model.decoder.log_prob(x, z) - kl.sum(-1))
        return torch.stack(log_weights).logsumexp(0) - math.log(draws)

    slow, fast = seconds_of(plainly(model, usual), lambda: model.log_prob(x, draws))
    rates = draws * len(x) / slow, draws * len(x) / fast
    name = f"decoder evaluations a second, {len(x)} images, K = {draws}"
    yield name, f"{rates[0]:,.0f}", f"{rates[1]:,.0f}", ratio(slow, fast)
    if STATUS.exists():
        small, large = (_peak_megabytes(params, draws) for draws in (1, 4096))
        yield "memory that K = 4096 needs beyond K = 1", "", f"{large - small:,.0f} MB", ""


def machine_rates() -> dict[str, float]:
    """Operations a second in matrix products by precision, and bytes a second in copying (read and written)."""
    rates = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.randn(1024, 1024).to(dtype)
        rates[name] = 2 * 1024**3 / seconds_of(partial(torch.matmul, a, a))[0]
    values, copy = torch.zeros(2**24), torch.zeros(2**24)
    return rates | {"bytes": 2 * 4 * 2**24 / seconds_of(lambda: copy.copy_(values))[0]}


def start_up() -> Iterator[tuple[str, str]]:
    """Whole commands, in the project's folder; `dvc repro` only where everything is up to date."""
    python = sys.executable
    yield "`import pipeline.config`", _command(python, "-c", "import pipeline.config")
    status = subprocess.run([python, "-m", "dvc", "status", "dvc.yaml"], capture_output=True, encoding="utf-8")
    if "up to date" in status.stdout:
        yield "`dvc repro`, nothing to do", _command(python, "-m", "dvc", "repro")
    else:
        yield "`dvc repro`, nothing to do", "not measured: something is not up to date"


def _model(params: Params, name: str) -> Model:
    model = accelerate(build_model(params.models[name], SHAPE))
    initialize(model, some_images(BATCH), torch.Generator().manual_seed(0))
    return model


def some_images(count: int) -> Tensor:
    """(count, 1, 28, 28), a fifth of the pixels on."""
    return (torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0)) < 0.2).float()


def plainly(model: Model, call: Callable[[], Any]) -> Callable[[], Any]:
    """`call` with the definition of `model`; afterwards it is accelerated again."""

    def run() -> Any:
        accelerate(model, on=False)
        try:
            return call()
        finally:
            accelerate(model)

    return run


def seconds_of(*calls: Callable[[], Any], gradients: bool = False) -> list[float]:
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
    return _s(seconds_of(lambda: subprocess.run(command, check=True, capture_output=True))[0])


def _peak_megabytes(params: Params, draws: int) -> float:
    """Most memory that a process of its own has held at the end of a `log_prob` with K = `draws`."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_log_prob_memory, (params, draws))


def _log_prob_memory(params: Params, draws: int) -> float:
    accelerate(build_model(params.models["vlae"], SHAPE)).log_prob(some_images(4), draws)
    peak = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return float(peak.split()[1]) / 1024


def repeat(times: int, call: Callable[[], Any]) -> None:
    """`call` so many times."""
    for _ in range(times):
        call()


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1e3 * seconds:.1f} ms"


def ratio(usual: float, ours: float) -> str:
    """How many times as fast ours is."""
    return f"{usual / ours:.1f}×"
