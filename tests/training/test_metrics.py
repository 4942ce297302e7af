"""metrics.jsonl after a kill: later rows and half a row are gone, and nothing else. Oracle: the lines written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffloom.errors import RunError
from diffloom.training.metrics import MetricsFile


@pytest.mark.parametrize(
    "tail", ["", '{"step": 9, "lo', '{"step": 9, "loss": 1}', "\0\0\0", '{"step": 9}\n{"st']
)
def test_metrics_are_cut_at_the_step(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [f'{{"step": {step}, "loss": 0.5}}\n' for step in (3, 6, 8)]
    path.write_text("".join(rows) + tail)
    metrics = MetricsFile(path, step=6)
    assert metrics.last == {"step": 6, "loss": 0.5}
    metrics.write({"step": 9, "loss": 0.25})
    metrics.close()
    assert path.read_text() == "".join(rows[:2]) + '{"step": 9, "loss": 0.25}\n'


def test_a_broken_row_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 3}\nmine\n{"step": 6}\n')
    with pytest.raises(RunError) as caught:
        MetricsFile(path, step=6)
    assert str(caught.value) == f"{path}:2: is no row of metrics; mend or remove this line"
