"""params.yaml as frozen dataclasses: what is not declared here, or out of its range, is refused by name.

`names` has what names and values may be, `blocks` a model, `budgets` a training and what it may cost, `params` the
whole. Imports no torch, so that stages that are up to date, and bad parameters, cost nothing.
"""

from pipeline.config.blocks import Block, ColorModelConfig, ModelConfig
from pipeline.config.budgets import TrainingConfig
from pipeline.config.names import EMBEDDED_DATASETS, TEXTURES, Kind, Stage
from pipeline.config.params import OwnDataset, Params, load_params, params_from, read_yaml
from pipeline.schema import ParamError

__all__ = [
    "EMBEDDED_DATASETS",
    "TEXTURES",
    "Block",
    "ColorModelConfig",
    "Kind",
    "ModelConfig",
    "OwnDataset",
    "ParamError",
    "Params",
    "Stage",
    "TrainingConfig",
    "load_params",
    "params_from",
    "read_yaml",
]
