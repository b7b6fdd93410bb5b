"""From a block of `models:` or `color_models:` in params.yaml to an untrained model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config import Block, ColorModelConfig, ModelConfig, load_params
from pipeline.models.binary import BinaryNetworks, Shape
from pipeline.models.color import ColorNetworks
from pipeline.models.flows import AutoregressiveFlow
from pipeline.models.pixelcnn import AutoregressiveModel, AutoregressiveNetwork, IndependentPixels
from pipeline.models.vlae import Decoder, LatentVariableModel, Model, Prior
from pipeline.schema import ParamError, from_mapping, refusal

WORKING_SET = 2**30
"""Bytes that a pass without gradients holds at most: larger images, or wider models, pass in smaller numbers."""


def build_model(name_or_block: str | Mapping[str, Any] | Block, image_shape: Shape | None = None) -> Model:
    """An untrained model for images of `image_shape` (C, H, W), by default 1×28×28, or 3×32×32 of colour models.

    `name_or_block`: a name among the models of ./params.yaml, or such a block. ParamError if it is not a valid one, or
    if images of that shape are none of its kind.

    >>> build_model({"posterior": "gaussian", "prior": "af", "decoder": "pixelcnn"}, (1, 8, 8)).image_shape
    (1, 8, 8)
    """
    block = _block(name_or_block)
    if isinstance(block, ColorModelConfig):
        return _compose(ColorNetworks(block, _shape((3, 32, 32), image_shape)))
    return _compose(BinaryNetworks(block, _shape((1, 28, 28), image_shape)))


def _compose(networks: BinaryNetworks | ColorNetworks) -> Model:
    """The parts that the block names, around these networks; the same for both kinds of image."""
    block, shape = networks.block, networks.image_shape
    rows = rows_that_fit(networks.numbers, shape, networks.most_rows)
    if block.posterior == "none":
        return AutoregressiveModel(shape, networks.maps, networks.network(), rows)
    posterior = networks.posterior(_flow(networks, networks.features) if block.posterior == "iaf" else None)
    prior = Prior(_flow(networks) if block.prior == "af" else None)
    factorized = block.decoder == "factorized"
    generator = networks.generator(networks.likelihood.parameters if factorized else networks.maps)
    network: AutoregressiveNetwork = IndependentPixels(networks.likelihood) if factorized else networks.network()
    decoder = Decoder(generator, network)
    return LatentVariableModel(shape, networks.latent_dim, posterior, prior, decoder, rows)


def _flow(networks: BinaryNetworks | ColorNetworks, context: int = 0) -> AutoregressiveFlow:
    return AutoregressiveFlow(networks.shift(context) for _ in range(networks.block.flow_steps))


def rows_that_fit(numbers: int, image_shape: Shape, most: int) -> int:
    """How many images × samples of so many `numbers` a pixel, float32, are in the working set; `most` at most."""
    _, height, width = image_shape
    return max(1, min(most, WORKING_SET // (4 * numbers * height * width)))


def _shape(default: Shape, wanted: Shape | None) -> Shape:
    """The shape wanted, or `default`, whose channels it must have."""
    if wanted is None:
        return default
    sides = wanted if isinstance(wanted, tuple) else ()
    if len(sides) != 3 or any(type(side) is not int or side < 1 for side in sides) or sides[0] != default[0]:
        raise ParamError(refusal("image_shape", wanted, f"({default[0]}, height, width)"))
    return wanted


def _block(name_or_block: str | Mapping[str, Any] | Block) -> Block:
    if isinstance(name_or_block, ModelConfig | ColorModelConfig):
        return name_or_block
    if isinstance(name_or_block, str):
        params = load_params()
        return params.model(name_or_block, "color" if name_or_block in params.color_models else "binary")
    if isinstance(name_or_block, Mapping) and "network" in name_or_block:  # which colour models alone have, and must
        return from_mapping(ColorModelConfig, name_or_block, "model")
    return from_mapping(ModelConfig, name_or_block, "model")
