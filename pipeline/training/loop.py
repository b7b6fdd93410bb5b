"""The training loop: optimizer, objective, Polyak averaging, a learning curve, and resumption to the same bits."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.config.names import Optimizer
from pipeline.models.layers import initialize
from pipeline.models.vlae import Model
from pipeline.progress import HIDDEN
from pipeline.seeding import stream
from pipeline.training.batches import Batches
from pipeline.training.checkpoints import load_checkpoint, save_checkpoint
from pipeline.training.history import COLUMNS
from pipeline.training.objectives import Objective
from pipeline.training.shards import Shards, noise_seeds
from pipeline.training.updates import Updates
from pipeline.training.workers import Workers

INITIALIZATION_IMAGES = 512
VALIDATED_AT_ONCE = 500
"""Both at most; a large model takes as many as it can hold, `rows_at_once`."""


@dataclass(frozen=True)
class Plan:
    """How a model is trained; `seconds` is a time limit after which the run stops, to be resumed."""

    steps: int
    learning_rate: float
    decay_fraction: float
    polyak: float
    objective: Objective
    bfloat16: bool
    validate_every: int
    seed: int
    shards: int
    checkpoint_seconds: float
    seconds: float | None = None
    optimizer: Optimizer = "adamax"

    def identity(self) -> dict[str, Any]:
        """All of it that decides the weights and the history."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in ("checkpoint_seconds", "seconds")}

    def rate(self, step: int) -> float:
        """Learning rate of a step: constant, then linear to zero over the last `decay_fraction` of the steps."""
        decaying = self.decay_fraction * self.steps
        return self.learning_rate * min(1.0, (self.steps - step) / decaying) if decaying else self.learning_rate


@dataclass(frozen=True)
class Earlier:
    """A training that ended, of whose weights only the average is left, in `model`."""

    model: Model
    step: int
    history: list[dict[str, float]]
    seconds: float


@dataclass
class State:
    """All that changes from step to step; the random numbers do not, being functions of the step."""

    model: Model
    updates: Updates[Model]
    gradients: Shards
    kl_weight: float
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    seconds: float = 0.0  # of training so far, validation and earlier sittings included

    NUMBERS: ClassVar = ("kl_weight", "step", "history", "sums", "seconds")

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        save_checkpoint(path, parts | {name: getattr(self, name) for name in self.NUMBERS})

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        for name in self.NUMBERS:
            setattr(self, name, saved[name])

    @property
    def averaged(self) -> Model:
        """The model with the averaged weights."""
        return self.updates.average

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "updates": self.updates}


def train(
    model: Model,
    batches: Batches,
    validation: Tensor,
    plan: Plan,
    checkpoint: Path,
    earlier: Earlier | None = None,
    stopped: Callable[[], bool] = lambda: False,
    workers: Workers | None = None,
) -> State:
    """Train `model` in place until `plan.steps`, `plan.seconds` or `stopped`; the model to use is `state.averaged`.

    `validation` (N, C, H, W) float, on the model's device like `batches`. A checkpoint at the path given is
    resumed from, and written as time goes; the caller deletes it once the results are safe. Without one the training
    goes on from `earlier`, if that is given, with the schedules of this plan; optimizer and averaging start anew.
    `workers` compute the shards, by default this thread; each of several processes calls this with the same arguments
    and ends at the same step. Raises FloatingPointError if the loss is no longer finite, ConnectionError if another
    process has ended.
    """
    workers = workers or Workers()
    state = begin(model, batches, plan, checkpoint, earlier, workers)
    started = saved = time.monotonic()
    before = state.seconds
    hidden = HIDDEN if workers.first else True
    with tqdm(total=plan.steps, initial=state.step, unit="step", disable=hidden, mininterval=1.0) as progress:
        while state.step < plan.steps:
            take_step(state, batches, plan)
            if state.step % plan.validate_every == 0 or state.step == plan.steps:
                state.history.append(_history_row(state, batches, validation, plan))
                progress.set_postfix(_progress_line(state.history[-1]))
            progress.update()
            now = time.monotonic()
            state.seconds = before + now - started
            ends = workers.any(stopped() or (plan.seconds is not None and now - started >= plan.seconds))
            if state.step < plan.steps and (ends or now - saved >= plan.checkpoint_seconds):
                if workers.first:
                    state.save(checkpoint)
                saved = time.monotonic()
            if ends:
                break
    return state


def initialize_from(batches: Batches, model: Model, seed: int) -> None:
    """The weights that a training of `model` starts with, from its first batches."""
    count = min(INITIALIZATION_IMAGES, model.rows_at_once)
    first = torch.cat([batches.batch(i) for i in range(max(1, count // batches.batch_size))])
    initialize(model, first, stream(seed, "initialization", device=first.device))


def begin(
    model: Model, batches: Batches, plan: Plan, checkpoint: Path, earlier: Earlier | None, workers: Workers
) -> State:
    """Where a training stands before its next step: its first, or the one after the checkpoint's or `earlier`'s."""
    saved = workers.from_first(lambda: load_checkpoint(checkpoint))
    if saved is None and earlier is not None:
        model.load_state_dict(earlier.model.state_dict())
    elif saved is None:
        initialize_from(batches, model, plan.seed)
    workers.start_alike(model)
    state = State(
        model,
        Updates(model, plan.polyak, plan.optimizer),
        Shards(model, plan.objective, plan.bfloat16, plan.shards, workers),
        plan.objective.first_weight,
    )
    if saved is not None:
        state.restore(saved)
    elif earlier is not None:
        state.step, state.seconds = earlier.step, earlier.seconds
        if earlier.history:
            state.kl_weight = earlier.history[-1]["kl_weight"]
        state.history = [row for row in earlier.history if row["step"] % plan.validate_every == 0]
    if state.step and workers.first:
        tqdm.write(f"going on after step {state.step} of {plan.steps}", file=sys.stderr)
    return state


def take_step(state: State, batches: Batches, plan: Plan) -> None:
    """One update of the weights; FloatingPointError if the loss is not finite."""
    x, noise = batches.batch(state.step), noise_seeds(plan.seed, state.step, plan.shards)
    means = state.gradients(x, noise, state.kl_weight)
    state.updates(plan.rate(state.step))
    state.step += 1
    reconstruction, kl = means.tolist()
    if not reconstruction + kl < float("inf"):
        raise FloatingPointError(
            f"step {state.step}: reconstruction {reconstruction}, kl {kl} nats per image; {_mend(plan)}"
        )
    state.kl_weight = plan.objective.next_weight(state.kl_weight, kl, state.step)
    state.sums = [a + b for a, b in zip(state.sums, (1.0, -reconstruction - kl, kl), strict=True)]


def _mend(plan: Plan) -> str:
    """What to try where a loss is not finite."""
    causes = [f"training.learning_rate ({plan.learning_rate:g}) may be too high"]
    if plan.bfloat16:
        causes.append("training.precision, here bfloat16, too low: set it to float32")
    return ", or ".join(causes)


def _history_row(state: State, batches: Batches, validation: Tensor, plan: Plan) -> dict[str, float]:
    """Means over the training steps since the last row, and the averaged weights on the validation images."""
    count, elbo, kl = state.sums
    state.sums = [0.0, 0.0, 0.0]
    valid_elbo, valid_kl = validate(state.averaged, validation, plan.seed)
    values = (
        state.step,
        state.step / batches.per_epoch,
        plan.rate(state.step - 1),
        elbo / count,
        kl / count,
        valid_elbo,
        valid_kl,
        state.kl_weight,
    )
    return dict(zip(COLUMNS, values, strict=True))


@torch.no_grad()
def validate(model: Model, images: Tensor, seed: int) -> tuple[float, float]:
    """Mean one-sample ELBO and KL of `images` (N, C, H, W), nats per image, with the same noise at every call."""
    rng = stream(seed, "validation", device=images.device)
    at_once = min(VALIDATED_AT_ONCE, model.rows_at_once)
    losses = [model.parts(batch, rng) for batch in images.split(at_once)]
    reconstruction, kl = (
        torch.cat([parts[name] for parts in losses]).mean().item() for name in ("reconstruction", "kl")
    )
    return -reconstruction - kl, kl


def _progress_line(row: dict[str, float]) -> dict[str, str]:
    line = {"ELBO": f"{row['valid_elbo']:.2f}", "KL": f"{row['valid_kl']:.2f} nats"}
    return line if row["kl_weight"] == 1 else line | {"KL weight": f"{row['kl_weight']:.3f}"}
