"""What `make bench` measures of training: whole steps, their parts, what each trick is worth, and other work beside."""

from __future__ import annotations

import itertools
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.benchmark import BATCH, SHAPE, Row, machine_rates, plainly, ratio, repeat, seconds_of, some_images
from pipeline.config import Params
from pipeline.fast import accelerate
from pipeline.models.build import build_model
from pipeline.models.layers import WeightNorm
from pipeline.training.batches import Batches
from pipeline.training.gradients import CapturedGradients
from pipeline.training.loop import Plan, begin, take_step, validate
from pipeline.training.objectives import Objective
from pipeline.training.workers import Workers

LARGE_BATCH = 128
"""At which less time goes into what a step costs whatever its batch."""
COLOR_SHAPE = (3, 32, 32)
TRICKS = ("C++", "bfloat16")
SPIN, RESTING = "while True: pass", 19


def training(params: Params, bfloat16: bool) -> Iterator[Row]:
    """Whole steps; the obvious way is layer by layer in float32, and torch's calls."""
    for model, batch in itertools.product(("vlae", "vae", "pixelcnn"), (LARGE_BATCH, BATCH)):
        ours, plain = (SomeTraining(params, model, half, batch=batch) for half in (bfloat16, False))
        plain.state.updates.compiled = False
        slow, fast = seconds_of(plainly(plain.state.model, plain.step), ours.step, gradients=True)
        name = f"images a second, `{model}`, batches of {batch}"
        yield name, f"{batch / slow:,.0f}", f"{batch / fast:,.0f}", ratio(slow, fast)


def tricks(params: Params, bfloat16: bool) -> Iterator[tuple[str, ...]]:
    """Milliseconds a step: by the definition in float32, with each trick alone, and with both.

    C++ is that of decoder and optimiser, which computes in float32 whatever the precision of the rest; of colour models
    it is what lies between the convolutions. Batches of colour images as at scale laptop.
    """
    chosen = [set[str](), {"C++"}, *([{"bfloat16"}, set(TRICKS)] if bfloat16 else [])]
    for model, batch in (("vlae", BATCH), ("vlae", 64), ("vlae", LARGE_BATCH), ("vae", BATCH), ("narrow_7x4", 16)):
        steps = [SomeTraining(params, model, "bfloat16" in some, batch=batch).with_tricks(some) for some in chosen]
        cells = [f"{1e3 * seconds:.1f}" for seconds in seconds_of(*steps, gradients=True)]
        yield f"`{model}`, batches of {batch}", *cells, *[""] * (4 - len(cells))


def beside_others(params: Params, bfloat16: bool) -> Iterator[tuple[str, ...]]:
    """Milliseconds a step of `vlae` in batches of 64: alone on the machine, and beside other processes that only count.

    One at the same priority, as an editor that compiles; and one a core at the lowest, as another's training.
    """
    ways = {
        "one thread": (1, 1, 1),
        "two OpenMP threads": (2, 1, 1),
        "two trainings at once, one thread each": (1, 1, 2),
    }
    ways |= {"two shards, a thread each": (1, 2, 1)}
    for name, (threads, shards, processes) in ways.items():
        measure = partial(_steps_in_processes, params, bfloat16, threads, shards, processes)
        cells = [measure()]
        for count, niceness in ((1, 0), (torch.multiprocessing.cpu_count(), RESTING)):
            with others(count, niceness):
                cells.append(measure())
        yield name, *cells


@contextmanager
def others(count: int, niceness: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that each want a core."""
    command = [sys.executable, "-c", f"import os; os.nice({niceness})\n{SPIN}"]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _steps_in_processes(params: Params, bfloat16: bool, threads: int, shards: int, processes: int) -> str:
    """Milliseconds a step of each of the processes that train at once."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        each = pool.starmap(_step_milliseconds, [(params, bfloat16, threads, shards)] * processes, chunksize=1)
    return " and ".join(f"{milliseconds:.0f}" for milliseconds in each)


def _step_milliseconds(params: Params, bfloat16: bool, threads: int, shards: int) -> float:
    torch.set_num_threads(threads)
    trained = SomeTraining(params, "vlae", bfloat16, batch=64, shards=shards)
    return 1e3 * seconds_of(trained.step, gradients=True)[0]


def overhead(params: Params, bfloat16: bool) -> Iterator[tuple[str, str]]:
    """What a training of `vlae` does beside its steps, at the cadence of scale paper, as a part of the steps' time."""
    trained, budget = SomeTraining(params, "vlae", bfloat16), params.scales["paper"].binary
    step, validation = seconds_of(
        trained.step, lambda: validate(trained.state.model, some_images(1000), 0), gradients=True
    )
    with tempfile.TemporaryDirectory() as folder:
        (saving,) = seconds_of(lambda: trained.state.save(Path(folder) / "c.pt"))
    yield "validation, 10,000 images", f"{10 * validation / (budget.training.validate_every * step):.2%}"
    yield f"a checkpoint every {params.checkpoint_seconds:.0f} s", f"{saving / params.checkpoint_seconds:.2%}"
    reading, writing = seconds_of(lambda: trained.batches.batch(5), lambda: trained.plan.rate(5))
    yield "batch and learning rate", f"{(reading + writing) / step:.2%}"


def profile(params: Params, bfloat16: bool) -> Iterator[tuple[str, str, str]]:
    """A step of `vlae` in batches of 32, part by part: forward and backward, and the floor, milliseconds.

    The floor is the part's multiplications and additions (backward: twice the forward's) over the machine's rate in
    matrix products, in the precision that the part computes in; of the optimiser, its bytes over the rate of copying.
    """
    trained, x, layers = (
        SomeTraining(params, "vlae", bfloat16),
        some_images(BATCH),
        "bfloat16" if bfloat16 else "float32",
    )
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

        (seconds,) = seconds_of(both, gradients=True)
        layered = (lambda: model.decoder.network(x, maps)) if name == "PixelCNN" else compute
        floor = 3 * operations(part, layered) / rates[precision]
        yield f"{name} ({precision})", f"{1e3 * seconds:.1f}", f"{1e3 * floor:.1f}"
    count = sum(parameter.numel() for parameter in model.parameters())
    trained.step()
    (seconds,) = seconds_of(partial(trained.state.updates, 0.002), gradients=True)
    floor = 9 * 4 * count / rates["bytes"]  # weights, two moments and average read and written, gradients read
    yield f"optimiser and average of {count:,} weights", f"{1e3 * seconds:.1f}", f"{1e3 * floor:.1f}"


def gpu(params: Params) -> Iterator[tuple[str, str]]:
    """Images a second of `vlae` at batch 32 on a GPU, its gradients launched as one graph or kernel by kernel."""
    if not torch.cuda.is_available():
        yield "images a second, `vlae`", "not measured: no GPU here"
        return
    for name, captured in (("kernel by kernel", False), ("as a CUDA graph", True)):
        trained = SomeTraining(params, "vlae", True, "cuda")
        if not captured:
            cast(CapturedGradients, trained.state.gradients.gradients[0]).failed = True
        (seconds,) = seconds_of(partial(repeat, 20, trained.step), gradients=True)
        yield f"images a second, `vlae`, {name}", f"{20 * BATCH / seconds:,.0f}"


class SomeTraining:
    """A training that goes step by step."""

    def __init__(
        self, params: Params, name: str, bfloat16: bool, device: str = "cpu", batch: int = BATCH, shards: int = 1
    ) -> None:
        color = name in params.color_models
        block = params.model(name, "color" if color else "binary")
        model = build_model(block, COLOR_SHAPE if color else SHAPE)
        images = some_colors(256) if color else some_images(1280)
        free = Objective("free_bits", 7.84)
        self.plan = Plan(10**6, 0.002, 0.5, 0.998, free, bfloat16, 10**6, 0, shards, 1e9, optimizer=block.optimizer)
        self.batches = Batches(images.byte().to(device), False, batch, 0)
        accelerate(model).to(device)
        self.state = begin(model, self.batches, self.plan, Path("no checkpoint"), None, Workers(shards))

    def step(self) -> None:
        take_step(self.state, self.batches, self.plan)

    def with_tricks(self, some: set[str]) -> Callable[[], None]:
        """A step, from now on with these of `TRICKS` and no others; bfloat16 is chosen when it is made."""
        accelerate(self.state.model, on="C++" in some)
        self.state.updates.compiled = "C++" in some
        return self.step


def some_colors(count: int) -> Tensor:
    """(count, 3, 32, 32), levels of noise."""
    return torch.randint(256, (count, *COLOR_SHAPE), generator=torch.Generator().manual_seed(0)).float()


def operations(part: torch.nn.Module, compute: Callable[[], Tensor]) -> float:
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
