"""Masked layers: the linear layers of MADE and the convolutions of PixelCNN."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import Linear, WeightNorm


def degrees(count: int, dim: int) -> Tensor:
    """Degrees of `count` hidden units of a MADE over `dim` variables: 1 … dim − 1, as evenly as they go."""
    return torch.arange(count) % max(dim - 1, 1) + 1


def of_degree(degree: int, dim: int) -> slice:
    """Which of these units have this degree."""
    return slice(degree - 1, None, max(dim - 1, 1)) if degree else slice(0)


class MADE(nn.Module):
    """Masked autoencoder (Germain et al., 2015): (B, D) to (B, D), output i depends on inputs before i alone.

    Input i has degree i + 1; a hidden unit of degree d sees degrees ≤ d; output i sees hidden degrees ≤ i. For D = 4
    the product of the masks, rows outputs, columns inputs, is strictly lower triangular:

        . . . .
        x . . .
        x x . .
        x x x .

    A `context` (B, C) of that many numbers, which every output may depend on, is added to the first layer.
    """

    def __init__(self, dim: int, hidden: tuple[int, ...], context: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = torch.arange(1, dim + 1)
        for width in hidden:
            after = degrees(width, dim)
            layers.append(Linear(len(before), width, mask=(after[:, None] >= before[None, :]).float()))
            layers.append(nn.ReLU())
            before = after
        output = torch.arange(dim)
        mask = (output[:, None] >= before[None, :]).float()
        layers.append(Linear(len(before), dim, mask=mask, initial_scale=0.1))
        self.layers = nn.Sequential(*layers)
        self.context = Linear(context, (*hidden, dim)[0]) if context else None

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        first = self.layers[0](z)
        return self.layers[1:](first if self.context is None else first + self.context(context))

    @torch.no_grad()
    def solve(self, base: Tensor) -> Tensor:
        """z with z_i = base_i + output i of z: (B, D) to (B, D), one variable after the other, without a context.

        Hidden units of degree i see z_0 … z_{i−1} and units of lower or the same degree in the layer before, so that
        each is computed once, when its inputs are there; those still to come are zero.
        """
        if self.context is not None:
            raise ValueError("a MADE with a context cannot be solved without it")
        *hidden, last = ((layer.weight, layer.bias[:, None]) for layer in self.layers if isinstance(layer, Linear))
        z = base.t() + last[1]
        dim, known = len(z), torch.zeros_like(z)
        values = [known, *(z.new_zeros(len(bias), z.shape[1]) for _, bias in hidden)]
        for i in range(dim):
            for (weight, bias), inputs, outputs in zip(hidden, values[:-1], values[1:], strict=True):
                now = of_degree(i, dim)
                outputs[now] = torch.addmm(bias[now], weight[now], inputs).relu_()
            known[i : i + 1] = torch.addmm(z[i : i + 1], last[0][i : i + 1], values[-1])
        return known.t().contiguous()


class Reach(NamedTuple):
    """How many rows up, and columns to the left and right in these rows, a masked convolution sees."""

    up: int
    left: int
    right: int

    @classmethod
    def square(cls, kernel_size: int) -> Reach:
        """Of a masked kernel_size × kernel_size convolution."""
        return cls(kernel_size // 2, kernel_size // 2, kernel_size // 2)

    @classmethod
    def window(cls, width: int, height: int) -> Reach:
        """Of the window "AxB": A wide and B tall above the pixel, and ⌈(A − 1)/2⌉ pixels to its left."""
        return cls(height, width // 2, (width - 1) // 2)


class MaskedConv2d(WeightNorm):
    """Convolution whose output at a pixel sees earlier pixels in raster order (van den Oord et al., 2016).

    Only the rows up to the centre are stored, so a "3×3" kernel has 2 rows. Kind A, for the image itself, leaves out
    the centre; kind B, for features, keeps it. Of 3×3, and of the window 4x2:

        A:  x x x      B:  x x x      A:  x x x x
            x . .          x x .          x x x x
                                          x x . .

    (B, inputs, H, W) to (B, outputs, H, W).
    """

    def __init__(self, inputs: int, outputs: int, reach: Reach, kind: Literal["A", "B"]) -> None:
        shape = (reach.up + 1, reach.left + 1 + reach.right)
        mask = torch.ones(1, 1, *shape)
        mask[..., reach.up, reach.left + (kind == "B") :] = 0.0
        super().__init__((outputs, inputs, *shape), mask=mask)
        self.reach = reach
        self.seen = reach.up * shape[1] + reach.left + (kind == "B")

    @property
    def taps(self) -> Tensor:
        """The weights that the mask leaves, in raster order: (outputs, inputs, taps)."""
        return self.weight.flatten(2)[..., : self.seen]

    @property
    def tap_offsets(self) -> tuple[tuple[int, int], ...]:
        """(row, column) of each tap, from the pixel."""
        up, left, right = self.reach
        return tuple((tap // (left + 1 + right) - up, tap % (left + 1 + right) - left) for tap in range(self.seen))

    def forward(self, x: Tensor) -> Tensor:
        up, left, right = self.reach
        return F.conv2d(F.pad(x, (left, right, up, 0)), self.weight, self.bias)


class WholeImageConv2d(MaskedConv2d):
    """A kind A `MaskedConv2d` that reaches every earlier pixel of images (C, H, W): (B, C, H, W) to (B, outputs, H, W).

    The kernel is H × (2W − 1), too large for the usual algorithms; the same sums are a one-dimensional convolution
    over rows whose channels are the columns, several times faster.
    """

    offsets: Tensor

    def __init__(self, image_shape: tuple[int, int, int], outputs: int) -> None:
        channels, height, width = image_shape
        super().__init__(channels, outputs, Reach(height - 1, width - 1, width - 1), "A")
        columns = torch.arange(width)
        self.register_buffer("offsets", columns[None, :] - columns[:, None] + width - 1, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        kernel = self.weight[..., self.offsets].permute(0, 3, 1, 4, 2)  # outputs, column, channels, earlier column, row
        rows = F.pad(x.transpose(2, 3).reshape(batch, channels * width, height), (self.reach.up, 0))
        out = F.conv1d(rows, kernel.reshape(-1, channels * width, self.reach.up + 1))
        return out.view(batch, -1, width, height).transpose(2, 3) + self.bias.view(-1, 1, 1)


class DownsampledConv2d(WeightNorm):
    """What is above a pixel, seen only in blocks of `factor` × `factor` pixels: (B, C, H, W) to (B, outputs, H, W).

    The image is averaged over the blocks; a pixel sees the averages of every row of blocks above its own row of
    blocks, all of whose pixels come before it in raster order, so that the likelihood stays exact. Of a row of
    blocks (here 4 × 4 pixels) all pixels get the same features:

        a a a a b b b b        a, b: averages of these pixels
        a a a a b b b b
        a a a a b b b b
        a a a a b b b b
        . . . . . . . .        no pixel here sees another of these rows
        . . . . . x . .        x sees a, b, and the blocks above them
    """

    def __init__(self, image_shape: tuple[int, int, int], outputs: int, factor: int) -> None:
        channels, height, width = image_shape
        rows, columns = -(-height // factor), -(-width // factor)
        super().__init__((outputs, channels, rows, 2 * columns - 1))
        self.factor, self.grid = factor, (rows, columns)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.grid
        blocks = F.avg_pool2d(x, self.factor, ceil_mode=True)
        above = F.pad(blocks, (columns - 1, columns - 1, rows, -1))
        out = F.conv2d(above, self.weight, self.bias)
        return out.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)[..., : x.shape[2], : x.shape[3]]
