"""The examples in the docstrings of the public interface, run from the project's folder."""

import doctest
import importlib

import pytest
from conftest import ROOT

PUBLIC = {
    "pipeline.models.build": {"build_model"},
    "pipeline.models.interface": {"ImageModel.elbo", "ImageModel.log_prob", "ImageModel.sample"},
    "pipeline.models.vlae": {"LatentVariableModel.encode", "LatentVariableModel.decompress"},
    "pipeline.saved": {"load_run"},
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_has_an_example_that_runs(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(name)
    examples = {test.name.removeprefix(f"{name}."): test for test in doctest.DocTestFinder().find(module)}
    for function in PUBLIC[name]:
        assert examples[function].examples
        assert doctest.DocTestRunner().run(examples[function]).failed == 0
