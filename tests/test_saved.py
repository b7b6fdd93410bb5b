"""A model on disk: the entries that count, in the places they came from, and nothing else."""

import pytest
import torch
from conftest import COLOR_VLAE, PIXELCNN, VLAE
from safetensors.torch import load_file, save_file

from pipeline import build_model, load_run
from pipeline.fast import FAST
from pipeline.models.layers import WeightNorm
from pipeline.saved import save_run

MODELS = [
    (VLAE, (1, 4, 5)),
    (VLAE | {"posterior": "iaf", "prior": "gaussian", "tied": False}, (1, 4, 5)),
    (PIXELCNN | {"context": "full"}, (1, 4, 5)),
    (VLAE | {"context": "downsampled"}, (1, 6, 5)),
    (COLOR_VLAE, (3, 8, 8)),
]


def saved(folder, block, shape):
    model = build_model(block, image_shape=shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    save_run(folder, model, {"model_config": block, "image_shape": shape})
    return model


def layers(model):
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, WeightNorm)}


@pytest.mark.parametrize(("block", "shape"), MODELS)
def test_every_weight_comes_back_and_no_masked_entry_is_stored(tmp_path, block, shape):
    model = saved(tmp_path, block, shape)
    with torch.no_grad():
        used = {name: (layer.weight != 0).sum().item() for name, layer in layers(model).items()}
    stored = load_file(tmp_path / "model.safetensors")
    assert {name: stored[f"{name}.direction"].numel() for name in used} == used
    assert sum(used.values()) < sum(layer.direction.numel() for layer in layers(model).values())
    loaded = load_run(tmp_path).model
    assert all(torch.equal(layer.weight, layers(model)[name].weight) for name, layer in layers(loaded).items())
    trained = model.state_dict()
    rest = {name: value for name, value in loaded.state_dict().items() if not name.endswith("direction")}
    assert rest
    assert all(torch.equal(value, trained[name]) for name, value in rest.items())


@pytest.mark.parametrize(
    "change", [lambda kept: kept[:-1], lambda kept: torch.cat([kept, kept]), lambda kept: kept[:1]]
)
def test_weights_that_are_not_as_many_as_the_mask_keeps_are_refused(tmp_path, change):
    model = saved(tmp_path, VLAE, (1, 4, 5))
    masked = next(name for name, layer in layers(model).items() if layer.mask is not None)
    path = tmp_path / "model.safetensors"
    stored = load_file(path)
    save_file(stored | {f"{masked}.direction": change(stored[f"{masked}.direction"])}, path)
    with pytest.raises(OSError, match="another version of the code"):
        load_run(tmp_path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize(("block", "shape"), MODELS)
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, block, shape, value):
    saved(tmp_path, block, shape)
    path = tmp_path / "model.safetensors"
    stored = load_file(path)
    name = sorted(stored)[-1]
    stored[name].view(-1)[-1] = value
    save_file(stored, path)
    with pytest.raises(OSError, match=rf"{name}: not finite"):
        load_run(tmp_path)


def test_what_is_called_nearly_like_a_seed_is_not_taken_for_one(tmp_path):
    for seed, name in enumerate(("seed10", "seed2", "seed0_backup", "seed", "seed-1", "seeds")):
        saved(tmp_path / name, VLAE, (1, 4, 5))
        (tmp_path / name / "config.json").write_text(
            (tmp_path / name / "config.json").read_text().replace('"image_shape"', f'"seed": {seed}, "image_shape"')
        )
    assert load_run(tmp_path).config["seed"] == 1


def test_a_model_is_loaded_on_the_device_that_is_asked_for_and_accelerated(tmp_path):
    saved(tmp_path, VLAE, (1, 4, 5))
    for device in ("cpu", torch.device("meta")):
        model = load_run(tmp_path, device).model
        assert {parameter.device for parameter in model.parameters()} == {torch.device(device)}
        assert {type(module) for module in model.modules()} & set(FAST)
