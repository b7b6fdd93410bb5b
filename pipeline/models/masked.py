"""Masked layers: the linear layers of MADE and the convolutions of PixelCNN."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import Linear, WeightNorm


def degrees(count: int, dim: int) -> Tensor:
    """Degrees of `count` hidden units of a MADE over `dim` variables: 1 … dim − 1, as evenly as they go."""
    return torch.arange(count) % max(dim - 1, 1) + 1


class MADE(nn.Module):
    """Masked autoencoder (Germain et al., 2015): (B, D) to (B, D), output i depends on inputs before i alone.

    Input i has degree i + 1; a hidden unit of degree d sees degrees ≤ d; output i sees hidden degrees ≤ i. For D = 4
    the product of the masks, rows outputs, columns inputs, is strictly lower triangular:

        . . . .
        x . . .
        x x . .
        x x x .
    """

    def __init__(self, dim: int, hidden: tuple[int, ...]) -> None:
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

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class MaskedConv2d(WeightNorm):
    """Convolution whose output at a pixel sees earlier pixels in raster order (van den Oord et al., 2016).

    Only the rows up to the centre are stored, so a "3×3" kernel has 2 rows; `reach` is (rows up, columns to each
    side), (1, 1) for 3×3. Kind A, for the image itself, leaves out the centre; kind B, for features, keeps it:

        A:  x x x      B:  x x x
            x . .          x x .

    (B, inputs, H, W) to (B, outputs, H, W).
    """

    def __init__(self, inputs: int, outputs: int, reach: tuple[int, int], kind: Literal["A", "B"]) -> None:
        up, side = reach
        mask = torch.ones(1, 1, up + 1, 2 * side + 1)
        mask[..., up, side + (kind == "B") :] = 0.0
        super().__init__((outputs, inputs, up + 1, 2 * side + 1), mask=mask)
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        up, side = self.reach
        return F.conv2d(F.pad(x, (side, side, up, 0)), self.weight, self.bias)


class WholeImageConv2d(MaskedConv2d):
    """A kind A `MaskedConv2d` that reaches every earlier pixel of images (C, H, W): (B, C, H, W) to (B, outputs, H, W).

    The kernel is H × (2W − 1), too large for the usual algorithms; the same sums are a one-dimensional convolution
    over rows whose channels are the columns, several times faster.
    """

    offsets: Tensor

    def __init__(self, image_shape: tuple[int, int, int], outputs: int) -> None:
        channels, height, width = image_shape
        super().__init__(channels, outputs, (height - 1, width - 1), "A")
        columns = torch.arange(width)
        self.register_buffer("offsets", columns[None, :] - columns[:, None] + width - 1, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        kernel = self.weight[..., self.offsets].permute(0, 3, 1, 4, 2)  # outputs, column, channels, earlier column, row
        rows = F.pad(x.transpose(2, 3).reshape(batch, channels * width, height), (self.reach[0], 0))
        out = F.conv1d(rows, kernel.reshape(-1, channels * width, self.reach[0] + 1))
        return out.view(batch, -1, width, height).transpose(2, 3) + self.bias.view(-1, 1, 1)
