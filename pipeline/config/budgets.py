"""How models are trained, and what that and their evaluation may cost at a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.config.names import TEXTURES, Count, Fraction, Kind, Stage
from pipeline.schema import Range


@dataclass(frozen=True)
class TrainingConfig:
    """What all trainings share."""

    learning_rate: Annotated[float, Range(1e-8, 1)]
    images: Literal["train", "train+valid"]
    start: Literal["scratch", "published"]
    decay_fraction: Fraction
    polyak: Fraction
    shards: Count
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class StepsConfig:
    """Optimiser steps of each training stage."""

    vae: Count
    pixelcnn: Count
    vlae: Count


@dataclass(frozen=True)
class TrainingBudget:
    """Batches and validation. `max_epochs`: the data sets whose trainings end there, as more would overfit them."""

    max_epochs: dict[str, Count]
    batch_size: Count
    validate_every: Count
    validate_images: Count | None  # None: all


@dataclass(frozen=True)
class EvaluationBudget:
    """How many images are evaluated, None for all, and with how many samples of z."""

    test_images: Annotated[int, Range(2)] | None
    train_images: Annotated[int, Range(2)] | None
    importance_samples: Count


@dataclass(frozen=True)
class Budget:
    """How long to train, how much to evaluate."""

    steps: StepsConfig
    training: TrainingBudget
    evaluation: EvaluationBudget

    def planned_steps(self, stage: Stage, dataset: str, steps_per_epoch: int) -> int:
        """Steps of a training stage: its budget, or the `max_epochs` of this data set where they are fewer."""
        steps: int = getattr(self.steps, stage)
        epochs = self.training.max_epochs.get(dataset)
        return steps if epochs is None else min(steps, epochs * steps_per_epoch)


@dataclass(frozen=True)
class ScaleConfig:
    """A budget for each kind of image, and for the textures of each kind."""

    binary: Budget
    color: Budget
    textures: Budget
    color_textures: Budget

    def of(self, dataset: str, kind: Kind) -> Budget:
        """The budget of a data set of this kind."""
        budget: Budget = getattr(self, dataset if dataset in TEXTURES else kind)
        return budget
