"""Published trainings: how they are read, and their tables."""

from pathlib import Path

import pytest

from pipeline import paper
from pipeline.reporting.facts import paper_records, result_records, text_records
from pipeline.results.published import PER_IMAGE, collect_published, read_published, write_per_image
from pipeline.results.runs import RunError


def test_they_are_found_by_name(make_published, tmp_path):
    assert collect_published(tmp_path / "published") == []
    for dataset, model in (("omniglot", "vlae"), ("mnist5k", "vae"), ("omniglot", "pixelcnn")):
        make_published(tmp_path / "published", dataset, model)
    found = [(training.dataset, training.model) for training in collect_published(tmp_path / "published")]
    assert found == [("mnist5k", "vae"), ("omniglot", "pixelcnn"), ("omniglot", "vlae")]


def test_one_without_metrics_has_a_curve_and_no_row(new_published):
    curve = new_published("af_vae", evaluated=False)
    assert (curve.metrics, curve.per_image) == ({}, {})
    assert len(curve.history["step"]) == 12
    assert all(record["ours"] is None for record in paper_records(paper.STATIC_MNIST, [curve]))
    assert "nll" not in result_records([curve])[0]
    assert text_records([curve]) == []


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "per_image.csv.gz"])
def test_a_damaged_file_is_named_with_the_way_back(make_published, tmp_path, name):
    folder = make_published(tmp_path)
    (folder / name).write_text("?")
    with pytest.raises(RunError, match=rf"omniglot/vlae: {name} .*git restore"):
        read_published(folder)


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:]],
    ids=["cut", "one bit"],
)
def test_damage_inside_the_compressed_file_is_found(make_published, tmp_path, damage):
    path = make_published(tmp_path) / PER_IMAGE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=r"per_image\.csv\.gz is damaged .*git restore"):
        read_published(path.parent)


def test_per_image_has_a_row_for_every_image(make_published, tmp_path):
    folder = make_published(tmp_path)
    write_per_image(folder, {name: values[:-1] for name, values in read_published(folder).per_image.items()})
    with pytest.raises(RunError, match=r"per_image\.csv\.gz is cut"):
        read_published(folder)


def test_the_committed_results_are_under_100_megabytes():
    sizes = [path.stat().st_size for path in (Path(__file__).parents[2] / "published").rglob("*") if path.is_file()]
    assert 0 < sum(sizes) < 100_000_000
