"""A model, as a block of `models:` or `color_models:`, with the rules that join its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pipeline.config.names import (
    Context,
    Depth,
    Fraction,
    KernelSize,
    NonNegative,
    Objective,
    Optimizer,
    Scaling,
    Stage,
    Width,
    Window,
)
from pipeline.schema import NotEmpty, ParamError, Range, refusal


class _Block:
    """What a block of `models` and one of `color_models` have in common."""

    posterior: str
    prior: str
    decoder: str
    optimizer: Optimizer

    def __post_init__(self) -> None:
        if (self.posterior == "none") != (self.prior == "none"):
            raise ParamError(refusal("prior", self.prior, "none if and only if posterior is none"))
        if self.posterior == "none" and self.decoder == "factorized":
            raise ParamError(refusal("decoder", self.decoder, "autoregressive where posterior is none"))
        if self.optimizer == "muon" and self.decoder == "factorized":
            raise ParamError(refusal("optimizer", self.optimizer, "adamax where no decoder is autoregressive"))

    @property
    def stage(self) -> Stage:
        """Which training stage the model belongs to."""
        if self.posterior == "none":
            return "pixelcnn"
        return "vae" if self.decoder == "factorized" else "vlae"


@dataclass(frozen=True)
class ModelConfig(_Block):
    """A model of binary images: the parts it is composed of, and their sizes. Defaults are the paper's (Appendix A)."""

    posterior: Literal["gaussian", "iaf", "none"]
    prior: Literal["gaussian", "af", "none"]
    decoder: Literal["factorized", "pixelcnn"]
    latent_dim: Width = 64
    encoder_channels: Annotated[tuple[Width, ...], NotEmpty()] = (16, 32, 32)
    hidden_units: Width = 450
    flow_steps: Depth = 4
    flow_hidden_units: tuple[Width, ...] = (640, 640)
    context: Context = "stack"
    masked_layers: Depth = 6
    kernel_size: KernelSize = 3
    first_kernel_size: KernelSize | None = None  # of the layer that sees the image; None: kernel_size
    filters: Width = 12
    tied: bool = True
    conditioning_maps: Width = 4
    conditioning_scale: Scaling = 0.1
    objective: Objective = "free_bits"
    free_bits: NonNegative = 0.01
    annealing_fraction: Fraction = 0.5
    optimizer: Optimizer = "adamax"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first_kernel_size is not None and (self.decoder == "factorized" or self.context != "stack"):
            allowed = "left out, but with an autoregressive decoder of context stack"
            raise ParamError(refusal("first_kernel_size", self.first_kernel_size, allowed))


@dataclass(frozen=True)
class ColorModelConfig(_Block):
    """A model of 8-bit colour images. Defaults are the paper's (Appendix B), or our choice where it is silent."""

    network: Literal["resnet", "densenet"]
    posterior: Literal["gaussian", "iaf", "none"]
    prior: Literal["gaussian", "af", "none"]
    decoder: Literal["factorized", "pixelcnnpp"]
    latent_maps: Annotated[int, Range(2, 4096)] = 16
    luma_map: bool = False  # the first of these is the luma of blocks of 4×4, and the decoder is told it
    channels: Width = 48
    inner_channels: Width = 96
    flow_steps: Depth = 6
    flow_maps: tuple[Width, ...] = (128, 128)
    context: Window = "7x4"
    grayscale: bool = False
    blocks: Depth = 4
    filters: Width = 64
    mixtures: Annotated[int, Range(1, 256)] = 10
    conditioning_scale: Scaling = 1.0
    objective: Objective = "soft_free_bits"
    free_bits: NonNegative = 0.05
    annealing_fraction: Fraction = 0.5
    optimizer: Optimizer = "adamax"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.luma_map and self.posterior == "none":
            raise ParamError(refusal("luma_map", self.luma_map, "false where there is no z"))


Block = ModelConfig | ColorModelConfig


def written_out(blocks: Any, key: str) -> Any:
    """The blocks at `key` of params.yaml, each that names a `base` with what that block has and it has not.

    ParamError if there is no such block, or it has a base itself. What is no block is left to be refused.
    """
    if not isinstance(blocks, Mapping):
        return blocks
    bases = {name: block for name, block in blocks.items() if isinstance(block, Mapping) and "base" not in block}
    return {name: _whole(block, bases, f"{key}.{name}.base") for name, block in blocks.items()}


def _whole(block: Any, bases: Mapping[str, Mapping[str, Any]], key: str) -> Any:
    if not isinstance(block, Mapping) or "base" not in block:
        return block
    own = dict(block)
    if (base := own.pop("base")) not in list(bases):
        raise ParamError(refusal(key, base, f"one of {', '.join(map(str, bases))}"))
    return {**bases[base], **own}
