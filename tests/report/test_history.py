"""The rows of metrics.jsonl as columns. Oracle: the rows as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from diffloom.errors import RunError
from diffloom.report.history import read_history

ROWS = [
    {"step": 5, "loss": 0.5, "lr": 0.1},
    {"step": 10, "loss": float("nan"), "loss_bucket_3": 0.25, "lr": 0.1},
    {"step": 15, "loss": 0.25, "lr": 0.05},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_columns(path: Path) -> None:
    found = read_history(path)
    assert found.steps.tolist() == [5, 10, 15]
    assert list(found.columns) == ["loss", "lr", "loss_bucket_3"]
    for name, column in found.columns.items():
        assert np.array_equal(column, [row.get(name, np.nan) for row in ROWS], equal_nan=True)
    assert found.last("loss") == 0.25
    assert found.last("loss_bucket_3") == 0.25
    assert found.last("kl") is None


def test_a_row_that_is_being_written_is_left_out(path: Path) -> None:
    whole = path.read_text()
    for length in range(1, 20):
        path.write_text(whole + json.dumps({"step": 20, "loss": 0.1})[:length])
        assert read_history(path).steps.tolist() == [5, 10, 15]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert len(read_history(tmp_path / "metrics.jsonl")) == 0


@pytest.mark.parametrize("line", ["half a", '{"loss": 1}', "[1]", '{"step": 20, "loss": "low"}', "3"])
def test_a_line_that_is_no_row_is_named(path: Path, line: str) -> None:
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl:4: is no row of metrics; mend or remove this line$"):
        read_history(path)
