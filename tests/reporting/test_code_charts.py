"""Charts of the code: which runs a line joins, and whether lines can be told apart."""

from pipeline.reporting.charts import colours
from pipeline.reporting.code_charts import joined


def test_a_line_joins_the_models_that_differ_in_the_context_alone(new_run):
    names = ["vlae", "vlae_annealed", "context_4x2", "af_vae", "context_stack", "vlae_full_context"]
    runs = [new_run(name) for name in names]
    line = joined(runs)
    assert [run.model for run in line] == ["context_4x2", "context_stack"]
    first, second = (run.block for run in line)
    assert {key for key in first if first[key] != second[key]} == {"context"}


def test_ten_published_models_have_colours_of_their_own(new_run):
    assert len(set(colours([new_run()] * 10))) == 10
