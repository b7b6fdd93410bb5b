"""What is measured of the data without a model, once a data set and not once a plot."""

import pandas as pd
import pytest
import yaml
from tiny_project import write_project

from stages import evaluate_data


@pytest.fixture
def project(tmp_path, monkeypatch):
    write_project(tmp_path)
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"color_texture_models": []}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["evaluate_data"])
    return tmp_path


def test_binary_images_get_codecs_and_colour_images_densities(project):
    evaluate_data.main()
    digits, photos = (pd.read_csv(project / f"data/baselines/{name}.csv") for name in ("mnist5k", "photos"))
    assert {"JPEG", "PNG", "deflate"} <= set(digits["codec"])
    assert list(photos["name"]) == ["Uniform", "Multivariate Gaussian"]


def test_what_cannot_be_measured_is_named_and_loses_nothing_else(project, monkeypatch):
    def fail(images):
        raise OSError("no such codec")

    monkeypatch.setattr(evaluate_data, "codec_curve", fail)
    evaluate_data.main()
    assert "no such codec" in pd.read_csv(project / "data/baselines/mnist5k.csv")["missing"].item()
    assert len(pd.read_csv(project / "data/baselines/photos.csv")) == 2
