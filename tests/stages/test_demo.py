"""`make demo` needs nothing but what is committed and installed."""

import contextlib

from conftest import ROOT
from PIL import Image

from stages import demo


def test_the_demo_draws_from_published_weights_without_a_network(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "PICTURE", tmp_path / "demo.png")
    monkeypatch.setattr("sys.argv", ["demo"])
    monkeypatch.setattr("urllib.request.urlopen", None)
    with contextlib.chdir(ROOT):
        demo.main()
    assert min(Image.open(tmp_path / "demo.png").size) > 300
    lines = [line.partition(": z takes ") for line in capsys.readouterr().out.splitlines()]
    bits = {name: float(told.split()[0]) for name, _, told in lines if told}
    assert 10 < bits["published/mnist_static/vlae"] < 25 < bits["published/mnist_static/vae"] < 50


def test_the_digits_are_binary_and_all_different():
    digits = demo.test_digits()
    assert digits.shape == (8, 1, 28, 28)
    assert set(digits.unique().tolist()) == {0.0, 1.0}
    assert len(digits.flatten(1).unique(dim=0)) == 8
