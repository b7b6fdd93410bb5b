"""What can stand for p(x|z), in nats per image; of binary images also the networks, of colour see pixelcnnpp.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.compiled import Block, CompiledPixelCNN, Layers, compiled_generator, compiled_pixelcnn
from pipeline.models.latent_parts import pyramid
from pipeline.models.layers import Conv2d, Linear, ResidualBlock, WeightNorm, residual, residual_up
from pipeline.models.likelihoods import Bernoulli, Choose, LogisticMixture, drawn_from
from pipeline.models.masked import DownsampledConv2d, MaskedConv2d, Reach, WholeImageConv2d
from pipeline.models.pixelcnnpp import PixelCNNPP
from pipeline.models.sampling import visit_pixelcnn

DOWNSAMPLING = 4
"""Side of the blocks that the context "downsampled" averages over."""


def start_over(values: Tensor, count: int) -> Tensor:
    """(B, …) to (count, …): all of it again and again, `count` being a multiple of B."""
    return values.expand(count // len(values), *values.shape).flatten(0, 1)


class Generator(nn.Module):
    """The encoder's mirror image: (B, D) z to (B, `maps`, H, W), by transposed convolutions (Appendix A)."""

    def __init__(
        self, dim: int, hidden: int, channels: tuple[int, ...], maps: int, image_shape: tuple[int, int, int]
    ) -> None:
        super().__init__()
        sizes = pyramid(image_shape[1:], len(channels))
        self.start = (channels[-1], *sizes[-1])
        self.input = nn.Sequential(
            Linear(dim, hidden), nn.ELU(), Linear(hidden, channels[-1] * sizes[-1][0] * sizes[-1][1])
        )
        blocks: list[ResidualBlock] = []
        geometry: list[Block] = []
        widths = (maps, *channels)
        for level in reversed(range(len(channels))):
            blocks.append(residual_up(widths[level + 1], widths[level], sizes[level]))
            geometry.append(Block(True, widths[level + 1], widths[level], *sizes[level + 1], *sizes[level]))
            if level:
                blocks.append(residual(widths[level]))
                geometry.append(Block(False, widths[level], widths[level], *sizes[level], *sizes[level]))
        self.blocks, self.geometry = nn.Sequential(*blocks), tuple(geometry)
        self.compiled = True

    def forward(self, z: Tensor) -> Tensor:
        start = self.input(z).view(-1, *self.start)
        compiled = compiled_generator(self.geometry)
        if self.compiled and not torch.is_grad_enabled() and compiled.takes(self):
            return compiled(start, self._weights())
        return self.blocks(start.contiguous(memory_format=torch.channels_last))

    def _weights(self) -> Layers:
        for block in cast(Iterable[ResidualBlock], self.blocks):
            for layer in (block.first, block.second, block.skip):
                if isinstance(layer, WeightNorm):
                    yield layer.weight.transpose(0, layer.out_axis).flatten(2), layer.bias


class PixelCNN(nn.Module):
    """p(x | maps) = ∏ Bernoulli(x_i | earlier pixels in the context, maps) (Appendix A).

    x (B, C, H, W) ─ masked conv A ─┐
    maps (B, M, H, W) ─ conv ───────┴→ `layers` − 1 residual masked convs B, after every other masked convolution
    two residual blocks of 1×1 convolutions, → ELU → 1×1 → logits (B, C, H, W).

    Adding two convolutions is the same as one convolution of the concatenation, and what the image alone gives can
    be computed once for any number of latent samples. `tied`: the B layers share one set of weights. `context` is
    what a pixel sees of the image, through layer A and, in the first two cases, through the B layers too:

        stack         what the masked layers reach, layer A having a kernel of `first_kernel_size`: 69 pixels for the
                      paper's six of 3×3
        full          every earlier pixel: layer A is as large as the image
        AxB           a window A wide and B tall above the pixel, and ⌈(A − 1)/2⌉ to its left; layers B are 1×1
        downsampled   averages over 4×4 blocks, of the rows of blocks above the pixel's; layers B are 1×1

    `conditioning_scale` is the standard deviation of what the maps add at the start, beside 1 from the image. On a CPU
    with a C++ compiler `log_prob` is one compiled function behind the first layer, unless `compiled` is set to False.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        maps: int,
        filters: int,
        kernel_size: int,
        first_kernel_size: int,
        layers: int,
        tied: bool,
        context: str,
        conditioning_scale: float,
    ) -> None:
        super().__init__()
        channels = image_shape[0]
        reach = Reach.square(kernel_size if context in ("stack", "full") else 1)
        first = Reach.square(first_kernel_size)
        self.likelihood = Bernoulli(channels)
        self.uniforms = self.likelihood.uniforms
        self.later_layers = layers - 1
        self.compiled = True
        self.image_layer = _image_layer(context, image_shape, filters, first)
        self.maps_layer = Conv2d(maps, filters, initial_scale=conditioning_scale)
        distinct = min(1, self.later_layers) if tied else self.later_layers
        self.masked = nn.ModuleList(MaskedConv2d(filters, filters, reach, "B") for _ in range(distinct))
        self.pointwise = nn.ModuleList(
            nn.Sequential(residual(filters, 1), residual(filters, 1)) for _ in range(self.later_layers // 2)
        )
        self.head = Conv2d(filters, channels, 1)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        """Logits (B, C, H, W) for images x (B, C, H, W) in {0, 1} and conditioning maps (B, M, H, W)."""
        return self._logits(self.image_layer(x), maps)

    def log_prob(self, x: Tensor, maps: Tensor, features: Tensor | None = None) -> Tensor:
        """log p(x | maps), nats: (B, C, H, W) and (k·B, M, H, W), for which x starts over, to (k·B,).

        One set of maps stands for all images. `features`: what the first layer makes of x, if it is at hand.
        """
        features = self.image_layer(x) if features is None else features
        maps = maps.expand(max(len(maps), len(x)), -1, -1, -1)
        compiled = self._compiled() if self.compiled and not x.requires_grad else None
        if compiled is None or torch.is_grad_enabled():
            x, features = start_over(x, len(maps)), start_over(features, len(maps))
        if compiled is None:
            return self.likelihood.log_prob(self._logits(features, maps), x)
        return compiled(x, features, maps, self._weights())

    def image_features(self, x: Tensor) -> Tensor:
        """What the first layer makes of x (B, C, H, W): the same for every z."""
        return self.image_layer(x).contiguous(memory_format=torch.channels_last)

    def sample(self, maps: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x | maps) from maps (B, M, H, W) and uniforms (B, C, H, W), pixel by pixel."""
        return self.visit(maps, drawn_from(self.likelihood, uniforms))

    def visit(self, maps: Tensor, choose: Choose) -> Tensor:
        """The image (B, C, H, W) that `choose` makes of what it is told, pixel by pixel."""
        return visit_pixelcnn(self, maps, choose)

    def _logits(self, features: Tensor, maps: Tensor) -> Tensor:
        h = features + self.maps_layer(maps)
        h = h.contiguous(memory_format=torch.channels_last)
        for i in range(self.later_layers):
            h = h + self.later_layer(i)(F.elu(h))
            for block in self.blocks_after(i):
                h = block(h)
        return self.head(F.elu(h))

    def _compiled(self) -> CompiledPixelCNN | None:
        outputs, filters = self.head.direction.shape[:2]
        offsets = self.later_layer(0).tap_offsets if self.later_layers else ()
        pairs = [pair for i in range(self.later_layers) for pair in (False, *(True for _ in self.blocks_after(i)))]
        compiled = compiled_pixelcnn(filters, self.maps_layer.direction.shape[1], offsets, tuple(pairs), outputs)
        return compiled if compiled.takes(self) else None

    def _weights(self) -> Layers:
        """Of all layers but the one that sees the image."""
        yield self.maps_layer.weight.flatten(2), self.maps_layer.bias
        for i in range(self.later_layers):
            layer = self.later_layer(i)
            yield layer.taps, layer.bias
            for block in self.blocks_after(i):
                for pointwise in cast(tuple[WeightNorm, WeightNorm], (block.first, block.second)):
                    yield pointwise.weight.flatten(2), pointwise.bias
        yield self.head.weight.flatten(2), self.head.bias

    def later_layer(self, i: int) -> MaskedConv2d:
        """Layer B number `i`, from 0."""
        return cast(MaskedConv2d, self.masked[i % len(self.masked)])

    def blocks_after(self, i: int) -> Iterable[ResidualBlock]:
        """The 1×1 blocks that follow layer B number `i`."""
        last = i % 2 or i // 2 == len(self.pointwise)
        return () if last else cast(Iterable[ResidualBlock], self.pointwise[i // 2])


def _image_layer(
    context: str, image_shape: tuple[int, int, int], filters: int, reach: Reach
) -> MaskedConv2d | DownsampledConv2d:
    if context == "full":
        return WholeImageConv2d(image_shape, filters)
    if context == "downsampled":
        return DownsampledConv2d(image_shape, filters, DOWNSAMPLING)
    if context != "stack":
        reach = Reach.window(*map(int, context.split("x")))
    return MaskedConv2d(image_shape[0], filters, reach, "A")


class FactorizedDecoder(nn.Module):
    """p(x|z) = ∏ p(x_i | z): every pixel independent of the others given z, which `generator` makes parameters of."""

    def __init__(self, generator: nn.Module, likelihood: Bernoulli | LogisticMixture) -> None:
        super().__init__()
        self.generator, self.likelihood = generator, likelihood
        self.uniforms = likelihood.uniforms

    def image_features(self, x: Tensor) -> None:
        """Nothing can be computed from the image alone."""
        return None

    def log_prob(self, x: Tensor, z: Tensor, image_features: Tensor | None = None) -> Tensor:
        """log p(x|z) in nats: (B, C, H, W) and (k·B, D), for which x starts over, to (k·B,)."""
        return self.likelihood.log_prob(self.generator(z), start_over(x, len(z)))

    def sample(self, z: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x|z) from z (B, D) and uniforms (B, `uniforms`, H, W)."""
        return self.visit(z, drawn_from(self.likelihood, uniforms))

    def visit(self, z: Tensor, choose: Choose) -> Tensor:
        """The image (B, C, H, W) that `choose` makes of the parameters of all pixels at once."""
        parameters = self.generator(z)
        size = parameters.shape[2:]
        rows, columns = torch.cartesian_prod(*map(torch.arange, size)).unbind(1)
        return choose((rows, columns), parameters.flatten(2)[:, :, None]).view(len(z), -1, *size)


class AutoregressiveDecoder(nn.Module):
    """p(x|z): a PixelCNN or PixelCNN++ conditioned on maps that `generator` makes from z."""

    def __init__(self, generator: nn.Module, network: PixelCNN | PixelCNNPP) -> None:
        super().__init__()
        self.generator, self.network = generator, network
        self.likelihood, self.uniforms = network.likelihood, network.uniforms

    def image_features(self, x: Tensor) -> Tensor:
        """What the network makes of x (B, C, H, W) before z enters."""
        return self.network.image_features(x)

    def log_prob(self, x: Tensor, z: Tensor, image_features: Tensor | None = None) -> Tensor:
        """As of the factorized decoder; `image_features` as above, if they are at hand."""
        return self.network.log_prob(x, self.generator(z), image_features)

    def sample(self, z: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x|z), pixel by pixel."""
        return self.network.sample(self.generator(z), uniforms)

    def visit(self, z: Tensor, choose: Choose) -> Tensor:
        """The image (B, C, H, W) that `choose` makes of what it is told, pixel by pixel."""
        return self.network.visit(self.generator(z), choose)
