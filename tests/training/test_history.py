"""The file of a learning curve."""

import pytest

from pipeline.errors import DataError
from pipeline.training.history import COLUMNS, read_history, write_history

ROWS = [
    dict(zip(COLUMNS, (step, step / 3, 0.1 + 0.2, -87.1, 1e-17, -1e300, 7.0, 1.0), strict=True)) for step in (100, 200)
]


def test_numbers_come_back_as_they_were(tmp_path):
    write_history(tmp_path / "history.csv", ROWS)
    assert read_history(tmp_path / "history.csv") == ROWS
    assert (
        (tmp_path / "history.csv")
        .read_text()
        .splitlines()[1]
        .startswith("100,33.333333333333336,0.30000000000000004,-87.1,")
    )


@pytest.mark.parametrize("damaged", [",".join(COLUMNS) + "\n1,x\n", ",".join(COLUMNS) + "\n1\n", "step\n1\n"])
def test_a_damaged_file_is_refused(damaged, tmp_path):
    (tmp_path / "history.csv").write_text(damaged)
    with pytest.raises(DataError, match="is damaged"):
        read_history(tmp_path / "history.csv")
