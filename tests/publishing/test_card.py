"""Model cards say what the files beside them say."""

import json
import shutil

import pytest
from conftest import ROOT

from pipeline.publishing.card import CARD, card

FOLDERS = sorted(path.parent for path in (ROOT / "published").glob("*/*/metrics.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_a_published_card_is_the_one_made_from_its_files(folder):
    assert (folder / CARD).read_text(encoding="utf-8") == card(folder), "write it anew: pipeline.publishing.card"


@pytest.mark.parametrize(("key", "value", "told"), [("nll", 12.3, "NLL | 12.30 nats"), ("kl_bits", 7.77, "= 7.8 bits")])
def test_numbers_come_from_the_metrics(tmp_path, key, value, told):
    folder = shutil.copytree(ROOT / "published/mnist_static/vlae", tmp_path / "vlae")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    (folder / "metrics.json").write_text(json.dumps(metrics | {key: value}), encoding="utf-8")
    assert told in card(folder)
