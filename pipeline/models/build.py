"""From a block of `models:` or `color_models:` in params.yaml to an untrained model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.config import Block, ColorModelConfig, ModelConfig, load_params
from pipeline.models.color import MapGenerator, MapPosterior, features_of
from pipeline.models.decoders import AutoregressiveDecoder, FactorizedDecoder, Generator, PixelCNN
from pipeline.models.flows import AutoregressiveFlow
from pipeline.models.latent import AutoregressiveModel, LatentVariableModel, Model
from pipeline.models.latent_parts import AutoregressivePrior, GaussianPrior, VectorPosterior
from pipeline.models.likelihoods import Bernoulli, LogisticMixture
from pipeline.models.made import MADE, ConvMADE
from pipeline.models.pixelcnnpp import PixelCNNPP
from pipeline.schema import ParamError, from_mapping, refusal

Shape = tuple[int, int, int]

BINARY_ROWS, COLOR_ROWS = 1024, 64
"""Images × samples in one pass without gradients: with the paper's sizes 0.2 GB, and of colour 0.6 GB."""
WORKING_SET = 2**30
"""Bytes that such a pass holds at most: larger images, or wider models, pass in smaller numbers."""


def build_model(name_or_block: str | Mapping[str, Any] | Block, image_shape: Shape | None = None) -> Model:
    """An untrained model for images of `image_shape` (C, H, W), by default 1×28×28, or 3×32×32 of colour models.

    `name_or_block`: a name among the models of ./params.yaml, or such a block. ParamError if it is not a valid one, or
    if images of that shape are none of its kind.
    """
    block = _block(name_or_block)
    if isinstance(block, ColorModelConfig):
        return _color_model(block, _shape((3, 32, 32), image_shape))
    return _binary_model(block, _shape((1, 28, 28), image_shape))


def _shape(default: Shape, wanted: Shape | None) -> Shape:
    """The shape wanted, or `default`, whose channels it must have."""
    if wanted is None:
        return default
    sides = wanted if isinstance(wanted, tuple) else ()
    if len(sides) != 3 or any(type(side) is not int or side < 1 for side in sides) or sides[0] != default[0]:
        raise ParamError(refusal("image_shape", wanted, f"({default[0]}, height, width)"))
    return wanted


def rows_that_fit(numbers: int, image_shape: Shape, most: int) -> int:
    """How many images × samples of so many `numbers` a pixel, float32, are in the working set; `most` at most."""
    _, height, width = image_shape
    return max(1, min(most, WORKING_SET // (4 * numbers * height * width)))


def _block(name_or_block: str | Mapping[str, Any] | Block) -> Block:
    if isinstance(name_or_block, ModelConfig | ColorModelConfig):
        return name_or_block
    if isinstance(name_or_block, str):
        params = load_params()
        return params.model(name_or_block, "color" if name_or_block in params.color_models else "binary")
    if isinstance(name_or_block, Mapping) and "network" in name_or_block:  # which colour models alone have, and must
        return from_mapping(ColorModelConfig, name_or_block, "model")
    return from_mapping(ModelConfig, name_or_block, "model")


def _binary_model(block: ModelConfig, image_shape: Shape) -> Model:
    def network() -> PixelCNN:
        return PixelCNN(
            image_shape,
            block.conditioning_maps,
            block.filters,
            block.kernel_size,
            block.first_kernel_size or block.kernel_size,
            block.masked_layers,
            block.tied,
            block.context,
            block.conditioning_scale,
        )

    def generator(maps: int) -> Generator:
        return Generator(block.latent_dim, block.hidden_units, block.encoder_channels, maps, image_shape)

    def flow(context: int = 0) -> AutoregressiveFlow:
        steps = range(block.flow_steps)
        return AutoregressiveFlow(MADE(block.latent_dim, block.flow_hidden_units, context) for _ in steps)

    # held at once: six arrays of a PixelCNN's width, and the encoder's first layers
    widest = 6 * max(block.filters, block.conditioning_maps) + max(block.encoder_channels)
    rows = rows_that_fit(widest, image_shape, BINARY_ROWS)
    if block.posterior == "none":
        return AutoregressiveModel(image_shape, block.conditioning_maps, network(), rows)
    posterior = VectorPosterior(
        image_shape,
        block.encoder_channels,
        block.hidden_units,
        block.latent_dim,
        flow(block.hidden_units) if block.posterior == "iaf" else None,
    )
    prior = _prior(block, flow)
    decoder: FactorizedDecoder | AutoregressiveDecoder
    if block.decoder == "factorized":
        decoder = FactorizedDecoder(generator(image_shape[0]), Bernoulli(image_shape[0]))
    else:
        decoder = AutoregressiveDecoder(generator(block.conditioning_maps), network())
    return LatentVariableModel(image_shape, block.latent_dim, posterior, prior, decoder, rows)


def _color_model(block: ColorModelConfig, image_shape: Shape) -> Model:
    channels, height, width = image_shape
    if height % 4 or width % 4:
        allowed = "a height and width that 4 divides, since z has maps of a quarter"
        raise ParamError(refusal("image_shape", image_shape, allowed))
    latent_shape = (block.latent_maps, height // 4, width // 4)
    likelihood = LogisticMixture(block.mixtures, channels)

    def network() -> PixelCNNPP:
        return PixelCNNPP(
            channels,
            block.channels,
            block.filters,
            block.blocks,
            block.context,
            block.grayscale,
            likelihood,
            block.conditioning_scale,
        )

    def generator(maps: int) -> MapGenerator:
        return MapGenerator(block.network, block.channels, block.inner_channels, latent_shape, maps)

    def flow(context: int = 0) -> AutoregressiveFlow:
        steps = range(block.flow_steps)
        return AutoregressiveFlow(ConvMADE(latent_shape, block.flow_maps, context) for _ in steps)

    # held at once: nine arrays of all blocks of a PixelCNN++, eight of the encoder's, and the mixtures' parameters
    widest = 9 * block.filters * block.blocks + 8 * max(block.channels, block.inner_channels) + 13 * block.mixtures
    rows = rows_that_fit(widest, image_shape, COLOR_ROWS)
    if block.posterior == "none":
        return AutoregressiveModel(image_shape, block.channels, network(), rows)
    posterior = MapPosterior(
        channels,
        block.network,
        block.channels,
        block.inner_channels,
        block.latent_maps,
        flow(features_of(block.network, block.inner_channels)) if block.posterior == "iaf" else None,
    )
    prior = _prior(block, flow)
    decoder: FactorizedDecoder | AutoregressiveDecoder
    if block.decoder == "factorized":
        decoder = FactorizedDecoder(generator(likelihood.parameters), likelihood)
    else:
        decoder = AutoregressiveDecoder(generator(block.channels), network())
    latent_dim = latent_shape[0] * latent_shape[1] * latent_shape[2]
    return LatentVariableModel(image_shape, latent_dim, posterior, prior, decoder, rows)


def _prior(block: Block, flow: Callable[[], AutoregressiveFlow]) -> GaussianPrior | AutoregressivePrior:
    return AutoregressivePrior(flow()) if block.prior == "af" else GaussianPrior()
