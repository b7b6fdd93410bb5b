"""Weight-normalised layers with optional masks, their data-dependent initialisation, and ResNet blocks.

Weight normalisation (Salimans and Kingma, 2016): each output unit has weight g v / ‖v‖. A mask multiplies v whenever
the weight is used, so that masked entries carry neither value nor gradient and do not count in the norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class WeightNorm(nn.Module):
    """Base of all layers with weights; a subclass applies `weight` and `bias`.

    `shape` is the weight's shape, `out_axis` the axis of its output units. `initial_mean` and `initial_scale` are mean
    and standard deviation that data-dependent initialisation gives the layer's output, (outputs,) or one for all units.
    """

    mask: Tensor | None
    unused: Tensor | None

    def __init__(
        self,
        shape: tuple[int, ...],
        out_axis: int = 0,
        mask: Tensor | None = None,
        initial_mean: float | Tensor = 0.0,
        initial_scale: float | Tensor = 1.0,
    ) -> None:
        super().__init__()
        self.out_axis = out_axis
        self.initial_mean, self.initial_scale = initial_mean, initial_scale
        self.direction = nn.Parameter(0.05 * torch.randn(shape))
        self.gain = nn.Parameter(torch.ones(shape[out_axis]))
        self.bias = nn.Parameter(torch.zeros(shape[out_axis]))
        self.register_buffer("mask", mask, persistent=False)
        unused = None if mask is None else 1 - mask.amax(tuple(range(1, mask.dim())), keepdim=True)
        self.register_buffer("unused", unused, persistent=False)

    @property
    def weight(self) -> Tensor:
        """g v / ‖v‖ with the mask applied; a unit whose mask is all zero has weight 0, and only its bias."""
        direction: Tensor = self.direction
        gain = self.gain.view([-1 if axis == self.out_axis else 1 for axis in range(direction.dim())])
        if self.mask is not None and self.unused is not None:  # a unit with no input would be divided by its norm, 0
            direction, gain = torch.addcmul(self.unused, direction, self.mask), gain * (1 - self.unused)
        return torch._weight_norm(direction, gain, self.out_axis)  # what torch's parametrization calls: one kernel


def concat_elu(x: Tensor) -> Tensor:
    """ELU of x and of −x, as PixelCNN++ has it: (B, C, H, W) to (B, 2C, H, W)."""
    return F.elu(torch.cat([x, -x], 1))


class Linear(WeightNorm):
    """(B, inputs) to (B, outputs)."""

    def __init__(self, inputs: int, outputs: int, **options: Any) -> None:
        super().__init__((outputs, inputs), **options)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class Conv2d(WeightNorm):
    """(B, inputs, H, W) to (B, outputs, ⌈H / stride⌉, ⌈W / stride⌉), zero padding, odd `kernel_size`."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1, **options: Any) -> None:
        super().__init__((outputs, inputs, kernel_size, kernel_size), **options)
        self.stride = stride
        self.padding = kernel_size // 2

    def forward(self, x: Tensor) -> Tensor:
        with _no_less_than_float32(x, self.stride > 1 and 1 in x.shape[2:]) as x:
            return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class ConvTranspose2d(WeightNorm):
    """The mirror image of a stride-2 3×3 `Conv2d`: (B, inputs, h, w) to (B, outputs, H, W) of the `size` given."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], **options: Any) -> None:
        super().__init__((inputs, outputs, 3, 3), out_axis=1, **options)
        self.size = size
        self.output_padding = [(length + 1) % 2 for length in size]

    def forward(self, x: Tensor) -> Tensor:
        with _no_less_than_float32(x, 1 in self.size) as x:
            return F.conv_transpose2d(x, self.weight, self.bias, 2, 1, self.output_padding)


@contextmanager
def _no_less_than_float32(x: Tensor, wanted: bool) -> Iterator[Tensor]:
    """Inside, if it is wanted, layers compute in float32 where autocast would have them compute in less.

    In bfloat16 a convolution of stride 2 leaves part of its weight's gradient unwritten where the larger of its two
    maps is one pixel wide, and so does its transpose: finite garbage, or NaN (pytorch#169688, pytorch#163347).
    """
    if not wanted:
        yield x
        return
    with torch.autocast(x.device.type, enabled=False):
        yield x.to(torch.promote_types(x.dtype, torch.float32))


class ResidualBlock(nn.Module):
    """skip(x) + second(ELU(first(ELU(x)))); skip is the identity unless a convolution is given."""

    def __init__(self, first: nn.Module, second: nn.Module, skip: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.skip = skip if skip is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.second(F.elu(self.first(F.elu(x))))


def residual(channels: int, kernel_size: int = 3) -> ResidualBlock:
    """A block that keeps shape and width."""
    return ResidualBlock(Conv2d(channels, channels, kernel_size), Conv2d(channels, channels, kernel_size))


def residual_down(inputs: int, outputs: int) -> ResidualBlock:
    """A stride-2 block: H, W to ⌈H/2⌉, ⌈W/2⌉; a strided convolution replaces the identity."""
    return ResidualBlock(Conv2d(inputs, outputs, stride=2), Conv2d(outputs, outputs), Conv2d(inputs, outputs, stride=2))


def residual_up(inputs: int, outputs: int, size: tuple[int, int]) -> ResidualBlock:
    """The mirror image of `residual_down`: to an image of the `size` given."""
    return ResidualBlock(
        Conv2d(inputs, inputs), ConvTranspose2d(inputs, outputs, size), ConvTranspose2d(inputs, outputs, size)
    )


@torch.no_grad()
def initialize(model: nn.Module, images: Tensor, rng: torch.Generator) -> None:
    """Draw every direction from `rng`, then set gains and biases from one pass over `images` (B, C, H, W).

    After it each layer's output over this batch has, per unit, its `initial_mean` and `initial_scale`
    (Salimans and Kingma, 2016, section 3). A layer used several times (tied weights) is set at its first use.
    `model.parts(images, rng)` is the pass.
    """
    layers = [module for module in model.modules() if isinstance(module, WeightNorm)]
    for layer in layers:
        layer.direction.normal_(0.0, 0.05, generator=rng)
        layer.gain.fill_(1.0)
        layer.bias.fill_(0.0)
    handles: dict[nn.Module, RemovableHandle] = {}

    def at_first_use(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        handles.pop(layer).remove()
        return _standardized(cast(WeightNorm, layer), output)

    handles |= {layer: layer.register_forward_hook(at_first_use) for layer in layers}
    try:
        model.parts(images, rng)  # type: ignore[operator]
    finally:
        for handle in handles.values():
            handle.remove()


def _standardized(layer: WeightNorm, output: Tensor) -> Tensor:
    """Scale and shift a layer with gain 1 and bias 0 so that this output is standardised; the output as it then is."""
    axes = [axis for axis in range(output.dim()) if axis != 1]
    deviation, mean = torch.std_mean(output, axes)
    start, spread = (torch.as_tensor(value).to(mean) for value in (layer.initial_mean, layer.initial_scale))
    scale = spread / torch.where(deviation > 1e-5, deviation, 1.0)
    layer.gain.copy_(scale)
    layer.bias.copy_(start - mean * scale)
    shape = [1, -1] + [1] * (output.dim() - 2)
    return (output - mean.view(shape)) * scale.view(shape) + start.expand_as(mean).view(shape)
