"""What files take on disk: counted, not estimated."""

import numpy as np
import pytest
import torch
from conftest import COLOR_VLAE, PIXELCNN, VAE, VLAE
from tiny_runs import images_of, tiny_run

from pipeline.coding import measures
from pipeline.coding.chain import start_words
from pipeline.coding.lossy import describe, to_file
from pipeline.coding.measures import CURVE, NOTHING, STEPS, encoded, packed_bits
from pipeline.coding.packing import pack


@pytest.mark.parametrize("block", [VAE, PIXELCNN, COLOR_VLAE])
def test_bits_are_those_of_the_file(block):
    images = images_of(block, 7)
    run = tiny_run(block, images.shape[1:])
    bits = packed_bits(run, images)
    assert bits["coded_bits"] == 8 * len(pack(run, images)) / 7
    assert bits["coded_bits"] - bits["coded_bits_after_start"] == pytest.approx(32 * len(start_words(run.model)) / 7)
    assert bits["coded_images"] == 7


def test_no_more_images_are_packed_than_there_is_time_for(monkeypatch):
    monkeypatch.setattr(measures, "MOST_NUMBERS", 300)
    assert packed_bits(tiny_run(VAE, (1, 8, 8)), images_of(VAE, 9))["coded_images"] == 300 // 64


@pytest.mark.parametrize("block", [VAE, VLAE])
def test_the_width_is_the_one_that_describes_validation_images_best(block, monkeypatch):
    monkeypatch.setattr(measures, "COMPARED", 3)
    run, valid, test = tiny_run(block, (1, 8, 8)), images_of(block, 30), images_of(block, 4)
    made = encoded(run, valid, test, 0)
    curve = made.curve
    assert list(curve.columns) == list(CURVE)
    assert tuple(curve["step"]) == STEPS
    assert made.metrics["vlae_step"] == curve["step"][int(np.argmin(8 * curve["bytes"] + curve["image_bits"]))]
    found = describe(run.model, made.book, torch.tensor(test).float())
    files = [to_file(run, made.book, one.cells) for one in found]
    assert made.metrics["vlae_bytes"] == np.mean([len(file) for file in files])
    assert made.metrics["vlae_most_bytes"] == max(map(len, files))


def test_bytes_count_beside_what_the_image_still_costs(monkeypatch):
    rows = [(9.0, 100.0), (5.0, 110.0), (4.0, 119.0), (1.0, 200.0), (5.0, 110.0)]
    left = iter([{"bytes": size, "image_bits": bits} for size, bits in rows])
    monkeypatch.setattr(measures, "_measured", lambda *_: next(left))
    images = images_of(VLAE, 4)
    assert encoded(tiny_run(VLAE, (1, 8, 8)), images, images, 0).metrics["vlae_step"] == STEPS[1]


@pytest.mark.parametrize("block", [PIXELCNN, COLOR_VLAE])
def test_of_models_without_z_of_binary_images_there_is_nothing(block):
    images = images_of(block, 5)
    assert encoded(tiny_run(block, images.shape[1:]), images, images, 0) is NOTHING
