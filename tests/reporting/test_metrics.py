"""The few short names that DVC compares."""

import dataclasses
import json

import pytest

from pipeline.reporting.metrics import MOST_NAMES, short_metrics, write_metrics


def test_the_vlae_comes_first_and_a_model_without_a_code_has_no_kl(new_run):
    found = short_metrics([new_run("pixelcnn"), new_run("vae"), new_run("vlae")])
    assert list(found) == ["vlae", "vae", "pixelcnn"]
    assert found["vlae"] == {"nll": 88.5, "kl": 11.6}
    assert found["pixelcnn"] == {"nll": 97.8}


def test_the_last_bits_of_another_processor_are_no_change(new_run):
    run = new_run("vlae", nll=88.123456)
    again = dataclasses.replace(run, metrics=run.metrics | {"nll": 88.123456 + 1e-5})
    assert short_metrics([run]) == short_metrics([again])
    assert short_metrics([run])["vlae"]["nll"] == 88.123


def test_there_are_at_most_24_however_many_models(new_run, params):
    runs = [new_run(model) for model in params.models]
    found = short_metrics(runs)
    assert len(runs) * 2 > sum(map(len, found.values())) <= MOST_NAMES == 24
    assert next(iter(found)) == "vlae"


def test_several_data_sets_and_seeds_are_told_apart_and_averaged(new_run):
    run, other = new_run("vlae"), new_run("vlae", "omniglot")
    several = dataclasses.replace(run, seeds=(run.metrics, run.metrics | {"nll": 89.5}))
    found = short_metrics([several, other])
    assert found["mnist5k_vlae"]["nll"] == 89
    assert found["omniglot_vlae"]["nll"] == 88.5


def test_every_number_is_in_the_other_file(new_run, tmp_path):
    run = new_run("vlae")
    write_metrics([run], tmp_path)
    everything = json.loads((tmp_path / "all_metrics.json").read_text())["mnist5k"]["vlae"]
    assert everything == {key: value for key, value in run.metrics.items() if not isinstance(value, str)}
    assert everything["kept_fine"] == pytest.approx(0.3)
