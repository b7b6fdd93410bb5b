"""The charts of textures: in which order models stand, and what is told of one that was given a code."""

import dataclasses

import pytest

from pipeline.reporting.known_charts import known_kl, known_released

KNOWN = {"exact_information": 2.79, "exact_nll": 63.85}


@pytest.fixture
def trained(new_run):
    def read(model, given=False, **metrics):
        run = new_run(model, "textures", **KNOWN | metrics)
        return dataclasses.replace(run, config=run.config | {"begins_with": {"model": "another"}}) if given else run

    return read


def test_models_stand_by_what_their_decoder_sees_and_by_its_filters(trained, tmp_path):
    names = ["full_context", "no_latent", "full_context_8", "window", "full_context_16", "no_pixels", "full_context_4"]
    alt = known_kl([trained(f"textures_{name}") for name in names], tmp_path / "kl.png")
    by_sight = ("no pixels", "window", "4 filters", "8 filters", "16 filters", "full context")
    places = [alt.rindex(f"{name} ") for name in by_sight]
    assert places == sorted(places)
    assert "no latent" not in alt
    assert "the global information is 4.0 bits" in alt


def test_what_was_given_a_code_stands_beside_its_twin_from_scratch_and_no_other(trained, tmp_path):
    runs = [trained("textures_window"), trained("textures_full_context"), trained("textures_released", given=True)]
    alt = known_released(runs, tmp_path / "released.png")
    assert "full context, from scratch" in alt
    assert "full context, given a code" in alt
    assert "window" not in alt
    assert (tmp_path / "released.png").stat().st_size > 5000
