"""Which blocks and which shapes of images are models, whoever asks for one."""

import json
import re

import pytest
import yaml
from conftest import COLOR_VLAE, ROOT, VAE

from pipeline import build_model, load_run
from pipeline.config import ColorModelConfig, ModelConfig, params_from
from pipeline.schema import ParamError

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))

RULES = [
    (ModelConfig, {"prior": "none"}, "prior"),
    (ModelConfig, {"posterior": "none"}, "prior"),
    (ModelConfig, {"posterior": "none", "prior": "none", "decoder": "factorized"}, "decoder"),
    (ModelConfig, {"first_kernel_size": 5, "decoder": "factorized"}, "first_kernel_size"),
    (ModelConfig, {"first_kernel_size": 5, "context": "4x2"}, "first_kernel_size"),
    (ModelConfig, {"first_kernel_size": 5, "context": "full"}, "first_kernel_size"),
    (ColorModelConfig, {"prior": "none"}, "prior"),
    (ColorModelConfig, {"posterior": "none"}, "prior"),
    (ColorModelConfig, {"posterior": "none", "prior": "none", "decoder": "factorized"}, "decoder"),
]


@pytest.mark.parametrize(("kind", "change", "key"), RULES)
def test_rules_that_join_keys_hold_on_every_path_to_a_model(tmp_path, kind, change, key):
    """After reports of models that the command line refused and Python built as something else."""
    block = {"posterior": "gaussian", "prior": "af"}
    block |= {"decoder": "pixelcnn"} if kind is ModelConfig else {"network": "resnet", "decoder": "pixelcnnpp"}
    kind(**block)
    with pytest.raises(ParamError, match=f"^{key} = "):
        kind(**block | change)
    with pytest.raises(ParamError, match=f"^model.{key} = "):
        build_model(block | change)
    models = "models" if kind is ModelConfig else "color_models"
    with pytest.raises(ParamError, match=f"^{models}.mine.{key} = "):
        params_from(PARAMS | {models: {"mine": block | change}})
    config = {"model_config": block | change, "image_shape": (1, 8, 8)}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(OSError, match=f"model.{key} = "):
        load_run(tmp_path)


@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (28, 28), (1, 28), (), 28, (1, 0, 5), (1, 28.0, 28), (3, 32, 32), (1, 1, 28, 28), [1, 8, 8]]
)
def test_an_image_shape_that_is_none_is_refused(shape):
    """After reports of images (height, width, channel) whose rows were taken for channels."""
    with pytest.raises(ParamError, match=re.escape(f"image_shape = {shape!r}: must be (1, height, width)")):
        build_model(VAE, shape)
    with pytest.raises(ParamError, match=r"image_shape = .*: must be \(3, height, width\)"):
        build_model(COLOR_VLAE, shape if shape != (3, 32, 32) else (32, 32, 3))
