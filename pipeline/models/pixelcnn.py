"""PixelCNN: images drawn pixel by pixel, each from the earlier ones and from conditioning maps (Appendix A)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.config import ModelConfig
from pipeline.models.interface import ImageModel
from pipeline.models.layers import Conv2d, ResidualBlock, residual
from pipeline.models.likelihoods import Bernoulli, Choose, LogisticMixture, drawn_from
from pipeline.models.masked import DownsampledConv2d, MaskedConv2d, Reach, WholeImageConv2d

DOWNSAMPLING = 4
"""Side of the blocks that the context "downsampled" averages over."""


class AutoregressiveNetwork(nn.Module):
    """p(x | maps) = ∏ p(x_i | earlier pixels, maps); `forward` gives the parameters of all pixels at once."""

    likelihood: Bernoulli | LogisticMixture

    def image_features(self, x: Tensor) -> Tensor:
        """What the image alone gives, before the maps enter: (B, C, H, W) to (B, F, H, W)."""
        raise NotImplementedError

    def conditioned(self, features: Tensor, maps: Tensor) -> Tensor:
        """Parameters (k·B, P, H, W) from features (B, F, H, W), which start over for maps (k·B, M, H, W)."""
        raise NotImplementedError

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        """Parameters (B, P, H, W) of images x (B, C, H, W), given maps (B, M, H, W)."""
        return self.conditioned(self.image_features(x), maps)

    def log_prob(self, x: Tensor, maps: Tensor) -> Tensor:
        """log p(x | maps), nats: (B, C, H, W) and (B, M, H, W) to (B,)."""
        return self.likelihood.log_prob(self(x, maps), x)

    def log_prob_given(self, x: Tensor, features: Tensor, maps: Tensor) -> Tensor:
        """The same to (k·B,): images and their `image_features`, (B, …) each, start over for maps (k·B, M, H, W)."""
        return self.likelihood.log_prob(self.conditioned(features, maps), repeat(x, len(maps)))

    def sample(self, maps: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x | maps) from maps (B, M, H, W) and uniforms (B, n, H, W)."""
        return self.visit(maps, drawn_from(self.likelihood, uniforms))

    @torch.no_grad()
    def visit(self, maps: Tensor, choose: Choose) -> Tensor:
        """The image (B, C, H, W) that `choose` makes of what it is told: for every pixel a pass of all of them."""
        batch, _, height, width = maps.shape
        x = maps.new_zeros(batch, self.likelihood.channels, height, width)
        for row, column in torch.cartesian_prod(torch.arange(height), torch.arange(width)):
            here = row[None], column[None]
            x[:, :, row, column] = choose(here, self(x, maps)[:, :, None, *here])[:, :, 0, 0]
        return x


class IndependentPixels(AutoregressiveNetwork):
    """p(x | maps) = ∏ p(x_i | maps): no pixel sees another, and the maps (B, P, H, W) are the parameters themselves."""

    def __init__(self, likelihood: Bernoulli | LogisticMixture) -> None:
        super().__init__()
        self.likelihood = likelihood

    def image_features(self, x: Tensor) -> Tensor:
        return x

    def conditioned(self, features: Tensor, maps: Tensor) -> Tensor:
        return maps

    @torch.no_grad()
    def visit(self, maps: Tensor, choose: Choose) -> Tensor:
        """All pixels at once."""
        size = maps.shape[2:]
        rows, columns = torch.cartesian_prod(*map(torch.arange, size)).unbind(1)
        return choose((rows, columns), maps.flatten(2)[:, :, None]).view(len(maps), -1, *size)


class AutoregressiveModel(ImageModel):
    """The Unconditional Decoder: a PixelCNN or PixelCNN++ with learned constants for conditioning maps; p(x) is exact.

    The paper does not say what stands in for z's maps; constants let a pixel know where it is.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], maps: int, network: AutoregressiveNetwork, rows_at_once: int
    ) -> None:
        super().__init__(image_shape, network.likelihood, rows_at_once)
        self.network = network
        self.maps = nn.Parameter(torch.zeros(1, maps, *image_shape[1:]))

    def parts(self, x: Tensor, rng: torch.Generator | None = None) -> dict[str, Tensor]:
        """−log p(x) as `reconstruction`, and a `kl` of zero: (B, C, H, W) to (B,) each."""
        reconstruction = -self.network.log_prob(x, self._maps(len(x)))
        return {"reconstruction": reconstruction, "kl": torch.zeros_like(reconstruction)}

    @torch.no_grad()
    def code_lengths(self, x: Tensor, draws: int = 1, rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """−log p(x) and zeros, (1, B) nats each; the other arguments are not needed."""
        exact = torch.cat([self.parts(batch)["reconstruction"] for batch in x.split(self.rows_at_once)])[None]
        return exact, torch.zeros_like(exact)

    def bound(self, x: Tensor, draws: int, rng: torch.Generator | None = None) -> Tensor:
        """log p(x) itself, whatever `draws` is: to (B,) nats."""
        return -self.code_lengths(x)[0][0]

    @torch.no_grad()
    def draw_images(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """n images (n, C, H, W)."""
        uniforms = self.uniforms(n, rng).split(self.rows_at_once)
        return torch.cat([self.network.sample(self._maps(len(some)), some) for some in uniforms])

    def _maps(self, count: int) -> Tensor:
        return self.maps.expand(count, -1, -1, -1)


class PixelCNN(AutoregressiveNetwork):
    """p(x | maps) = ∏ Bernoulli(x_i | earlier pixels in the context, maps) (Appendix A).

    x (B, C, H, W) ─ masked conv A ─┐
    maps (B, M, H, W) ─ conv ───────┴→ `masked_layers` − 1 residual masked convs B, after every other masked
    convolution two residual blocks of 1×1 convolutions, → ELU → 1×1 → logits (B, C, H, W).

    Adding two convolutions is the same as one convolution of the concatenation, which the paper has. `tied`: the B
    layers share one set of weights. `context` is what a pixel sees of the image, through layer A and, in the first two
    cases, through the B layers too:

        stack         what the masked layers reach, layer A having a kernel of `first_kernel_size`: 69 pixels for the
                      paper's six of 3×3
        full          every earlier pixel: layer A is as large as the image
        AxB           a window A wide and B tall above the pixel, and ⌈(A − 1)/2⌉ to its left; layers B are 1×1
        downsampled   averages over 4×4 blocks, of the rows of blocks above the pixel's; layers B are 1×1

    `conditioning_scale` is the standard deviation of what the maps add at the start, beside 1 from the image.
    """

    def __init__(self, block: ModelConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        filters = block.filters
        reach = Reach.square(block.kernel_size if block.context in ("stack", "full") else 1)
        self.likelihood = Bernoulli(image_shape[0])
        self.later_layers = block.masked_layers - 1
        self.image_layer = _image_layer(block, image_shape)
        self.maps_layer = Conv2d(block.conditioning_maps, filters, initial_scale=block.conditioning_scale)
        distinct = min(1, self.later_layers) if block.tied else self.later_layers
        self.masked = nn.ModuleList(MaskedConv2d(filters, filters, reach, "B") for _ in range(distinct))
        self.pointwise = nn.ModuleList(
            nn.Sequential(residual(filters, 1), residual(filters, 1)) for _ in range(self.later_layers // 2)
        )
        self.head = Conv2d(filters, image_shape[0], 1)

    def image_features(self, x: Tensor) -> Tensor:
        return self.image_layer(x)

    def conditioned(self, features: Tensor, maps: Tensor) -> Tensor:
        h = repeat(features, len(maps)) + self.maps_layer(maps)
        for i in range(self.later_layers):
            h = h + self.later_layer(i)(F.elu(h))
            for block in self.blocks_after(i):
                h = block(h)
        return self.head(F.elu(h))

    def later_layer(self, i: int) -> MaskedConv2d:
        """Layer B number `i`, from 0."""
        return cast(MaskedConv2d, self.masked[i % len(self.masked)])

    def blocks_after(self, i: int) -> Iterable[ResidualBlock]:
        """The 1×1 blocks that follow layer B number `i`."""
        last = i % 2 or i // 2 == len(self.pointwise)
        return () if last else cast(Iterable[ResidualBlock], self.pointwise[i // 2])


def repeat(values: Tensor, count: int) -> Tensor:
    """(B, …) to (count, …): all of it again and again, `count` being a multiple of B."""
    return values.expand(count // len(values), *values.shape).flatten(0, 1)


def _image_layer(block: ModelConfig, image_shape: tuple[int, int, int]) -> MaskedConv2d | DownsampledConv2d:
    if block.context == "full":
        return WholeImageConv2d(image_shape, block.filters)
    if block.context == "downsampled":
        return DownsampledConv2d(image_shape, block.filters, DOWNSAMPLING)
    if block.context == "stack":
        reach = Reach.square(block.first_kernel_size or block.kernel_size)
    else:
        reach = Reach.window(*map(int, block.context.split("x")))
    return MaskedConv2d(image_shape[0], block.filters, reach, "A")
