"""From a block of `models:` in params.yaml to an untrained model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config import ModelConfig, from_mapping, load_params
from pipeline.models.decoders import FactorizedDecoder, Generator, PixelCNN, PixelCNNDecoder
from pipeline.models.latent import AutoregressiveModel, LatentVariableModel, Model
from pipeline.models.latent_parts import AutoregressivePrior, GaussianPosterior, GaussianPrior, IAFPosterior


def build_model(
    name_or_block: str | Mapping[str, Any] | ModelConfig, image_shape: tuple[int, int, int] = (1, 28, 28)
) -> Model:
    """An untrained model for images of `image_shape` (C, H, W).

    `name_or_block`: a name among `models:` of ./params.yaml, or such a block. ParamError if it is not a valid one.
    """
    block = _block(name_or_block)
    if block.posterior == "none":
        return AutoregressiveModel(image_shape, block.conditioning_maps, _pixelcnn(block, image_shape))
    return LatentVariableModel(
        image_shape,
        block.latent_dim,
        _posterior(block, image_shape),
        _prior(block),
        _decoder(block, image_shape),
    )


def _block(name_or_block: str | Mapping[str, Any] | ModelConfig) -> ModelConfig:
    if isinstance(name_or_block, ModelConfig):
        return name_or_block
    if isinstance(name_or_block, str):
        return load_params().model(name_or_block)
    return from_mapping(ModelConfig, name_or_block, "model")


def _posterior(block: ModelConfig, image_shape: tuple[int, int, int]) -> GaussianPosterior:
    sizes = (image_shape, block.encoder_channels, block.hidden_units, block.latent_dim)
    if block.posterior == "iaf":
        return IAFPosterior(*sizes, block.flow_steps, block.flow_hidden_units)
    return GaussianPosterior(*sizes)


def _prior(block: ModelConfig) -> GaussianPrior | AutoregressivePrior:
    if block.prior == "af":
        return AutoregressivePrior(block.latent_dim, block.flow_steps, block.flow_hidden_units)
    return GaussianPrior()


def _decoder(block: ModelConfig, image_shape: tuple[int, int, int]) -> FactorizedDecoder | PixelCNNDecoder:
    factorized = block.decoder == "factorized"
    maps = image_shape[0] if factorized else block.conditioning_maps
    generator = Generator(block.latent_dim, block.hidden_units, block.encoder_channels, maps, image_shape)
    return FactorizedDecoder(generator) if factorized else PixelCNNDecoder(generator, _pixelcnn(block, image_shape))


def _pixelcnn(block: ModelConfig, image_shape: tuple[int, int, int]) -> PixelCNN:
    return PixelCNN(
        image_shape,
        block.conditioning_maps,
        block.filters,
        block.kernel_size,
        block.masked_layers,
        block.tied,
        block.context,
        block.conditioning_scale,
    )
