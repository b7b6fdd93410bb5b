"""The report over images of many shapes, models of a user's own, and measures that could not be taken.

Everything goes the way of a user: params.yaml, prepared data, `train`, `evaluate` and `plot`.
"""

import contextlib
import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import binary_images, color_images
from PIL import Image
from tiny_project import TINY, write_project

from pipeline.config import load_params
from pipeline.data.datasets import Dataset, load_dataset, save
from stages import evaluate, evaluate_data, plot, run_folder, training

SHAPES = {"one": (1, 1, 1), "small": (1, 5, 3), "large": (1, 40, 28)}
BREAKS = "small"
"""Where nothing but the likelihood can be measured."""
MODELS = ("mine_full", "mine_pixelcnn")
COLOR_MODELS = ("mine_colour",)
COLOR_SHAPE = (3, 4, 12)


def dataset(name, shape):
    splits = [binary_images(count, shape, seed).numpy().astype(np.uint8) for seed, count in enumerate((24, 8, 6))]
    return Dataset(name, "binary", False, *splits, *(np.arange(len(images)) % 2 for images in splits))


def write(folder):
    """Two models of a user's own of each of the shapes, and one of colour images."""
    write_project(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    lists = {key: [] for key in params if key.endswith("_models") and key != "color_models"}
    params |= lists | {
        "own_datasets": {name: {"loader": "pipeline.data.mine:load"} for name in SHAPES}, "binary_datasets": [*SHAPES],
        "vlae_models": [MODELS[0]], "pixelcnn_models": [MODELS[1]],
        "color_vlae_models": list(COLOR_MODELS), "checkpoint_seconds": 60,
    }  # fmt: skip
    for budget in params["scales"]["smoke"].values():
        budget["steps"] = {"vae": 2, "pixelcnn": 2, "vlae": 2}
        budget["training"] |= {"batch_size": 8, "validate_every": 1}
        budget["evaluation"] = {"test_images": None, "train_images": 4, "importance_samples": 5}
    vlae = TINY | {"posterior": "gaussian", "prior": "af", "decoder": "pixelcnn"}
    params["models"] = {
        "mine_full": vlae | {"context": "full"}, "mine_pixelcnn": vlae | {"posterior": "none", "prior": "none"},
    }  # fmt: skip
    params["training"] |= {"precision": "float32", "learning_rate": 1e-8}  # two images of one pixel are few to learn by
    params["color_models"]["mine_colour"] = params["color_models"]["narrow_4x2"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for name, shape in SHAPES.items():
        save(dataset(name, shape), folder / f"data/processed/{name}.npz")
    colours = [color_images(count, COLOR_SHAPE, seed).numpy().astype(np.uint8) for seed, count in enumerate((24, 8, 6))]
    save(Dataset("photos", "color", False, *colours), folder / "data/processed/photos.npz")


@pytest.fixture(scope="module")
def project(made_once):
    """The folder, with its report."""
    return made_once("shapes", make)


def make(folder):
    write(folder)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLAE_CHECKPOINTS", str(folder / "checkpoints"))
        params = load_params()
        for name in params.datasets:
            prepared = load_dataset(folder / f"data/processed/{name}.npz")
            for model in params.evaluated(name):
                training.run(params, params.model(model, prepared.kind), prepared, model, 0, None)
                with pytest.MonkeyPatch.context() as broken:
                    if name == BREAKS:
                        break_measures(broken)
                    evaluate.evaluate(params, prepared, run_folder(name, model, 0), 0)
        evaluate_data.main()
        plot.main()


def break_measures(patch):
    def broken(*arguments, **options):
        raise RuntimeError("no such luck")

    for name in ("panels", "describe_latent", "kept", "probe_latent", "probe_factors"):
        patch.setattr(evaluate, name, broken)


def metrics(project, dataset, model):
    return json.loads((project / "runs" / dataset / model / "seed0" / "metrics.json").read_text())


def test_images_of_every_shape_from_1x1_to_40x28_are_reported(project):
    text = (project / "reports/details.md").read_text(encoding="utf-8")
    for name, shape in {**SHAPES, "photos": COLOR_SHAPE}.items():
        assert name in text
        for model in COLOR_MODELS if name == "photos" else MODELS:
            nll = metrics(project, name, model)["nll"]
            assert np.isfinite(nll), (name, model)
        assert "×".join(map(str, shape)) in text or "×".join(map(str, shape[1:])) in text
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text.lower())


def test_no_decoder_is_said_to_see_more_than_there_is(project):
    for table in (project / "reports/tables").glob("*.csv"):
        for record in pd.read_csv(table).to_dict("records"):
            _, height, width = {**SHAPES, "photos": COLOR_SHAPE}.get(record.get("dataset"), (1, 32, 32))
            assert not record.get("context_pixels", 0) >= height * width


def test_every_figure_is_a_picture(project):
    figures = list((project / "reports/figures").glob("*.png"))
    assert len(figures) > len(SHAPES)
    for figure in figures:
        with Image.open(figure) as picture:
            picture.load()
            assert min(picture.size) > 1


@pytest.mark.parametrize("model", MODELS)
def test_a_measure_that_cannot_be_taken_says_so_and_lets_the_others_through(project, model):
    told = metrics(project, BREAKS, model)
    assert "pictures (RuntimeError: no such luck)" in told["missing"]
    assert ("z by dimension" in told["missing"]) == (model != "mine_pixelcnn")
    assert np.isfinite(told["nll"])
    assert "no such luck" in (project / "reports/details.md").read_text(encoding="utf-8")
    assert all("missing" not in metrics(project, name, model) for name in SHAPES if name != BREAKS)


@pytest.mark.parametrize("name", ["metrics.json"])
def test_metrics_that_dvc_compares_are_numbers(project, name):
    def leaves(value):
        return [leaf for item in value.values() for leaf in leaves(item)] if isinstance(value, dict) else [value]

    content = json.loads((project / "reports" / name).read_text())
    assert content
    assert all(isinstance(leaf, int | float) for leaf in leaves(content))
