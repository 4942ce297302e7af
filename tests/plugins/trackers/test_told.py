"""What trackers were told is what there is. Oracle: the libraries' own readers, and what was told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffloom import RunInfo
from diffloom.kinds import Tracker, Tracking
from diffloom.pictures import save_png

Info = Callable[[int], RunInfo]
ROWS = [
    {
        "step": step,
        "loss": 1 / step,
        "lr": 1e-3 * step,
        "images_per_second": 300.25,
        **({"kl": 0.1} if step > 4 else {}),
    }
    for step in (2, 4, 6, 8)
]
COLOURS = {4: (200, 30, 60), 8: (10, 120, 250)}


def picture(step: int) -> Image.Image:
    image = Image.new("RGB", (20, 12), COLOURS[step])
    image.putpixel((3, 2), (0, 0, 0))  # so that a picture upside down is another
    return image


def tell(tracking: Tracking, *, after: int, until: int) -> None:
    """The part of the run between two steps, in its order."""
    for row in ROWS:
        step = int(row["step"])
        if after < step <= until:
            if step == 6:
                tracking.finding(6, "ema-frozen", "it has not moved for 4 steps")
            tracking.figures(step, row)
            if step in COLOURS:
                tracking.picture(step, "samples", picture(step))


def write_down(folder: Path, *, until: int) -> None:
    """The same as the run itself writes it."""
    (folder / "samples").mkdir(exist_ok=True)
    rows = [row for row in ROWS if row["step"] <= until]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {"step": 6, "cause": "ema-frozen", "text": "it has not moved for 4 steps"}
    (folder / "findings.jsonl").write_text(json.dumps(found) + "\n" if until >= 6 else "")
    for step in COLOURS:
        if step <= until:
            save_png(picture(step), folder / "samples" / f"step-{step:08d}.png")


def require_all(told: Any, *, end: str) -> None:
    """Everything is there once."""
    assert told.doubles == []
    assert sorted(step for step, row in told.rows.items() if row) == [2, 4, 6, 8]
    for row in ROWS:
        found = told.rows[row["step"]]
        assert found.keys() == row.keys() - {"step"}
        for name, value in found.items():
            assert np.float32(value) == np.float32(row[name])  # event files hold float32
    assert told.pictures.keys() == {("samples", step) for step in COLOURS}
    for (_, step), pixels in told.pictures.items():
        assert np.array_equal(pixels, np.asarray(picture(step)))
    assert told.findings == ["6: it has not moved for 4 steps"]
    assert told.end == end


@pytest.fixture
def build(tracker: str, configured: dict[str, Tracker], info: Info) -> Callable[[int], Tracking]:
    """Begins to tell, or goes on after a step."""
    return lambda first_step: configured[tracker].build(info(first_step))


@pytest.mark.parametrize("end", ["finished", "interrupted", "failed"])
def test_a_run(folder: Path, build: Callable[[int], Tracking], read: Callable[[Path], Any], end: str) -> None:
    tracking = build(0)
    tell(tracking, after=0, until=8)
    tracking.close(end)
    require_all(read(folder), end=end)


def test_a_run_that_goes_on(
    folder: Path, build: Callable[[int], Tracking], read: Callable[[Path], Any]
) -> None:
    """Interrupted after its step 4, then failed at 8 with a checkpoint of step 6, then finished."""
    for first_step, until, end in ((0, 4, "interrupted"), (4, 8, "failed"), (6, 8, "finished")):
        write_down(folder, until=first_step)
        tracking = build(first_step)
        tell(tracking, after=first_step, until=until)
        tracking.close(end)
    require_all(read(folder), end="finished")


def test_one_that_joins_later(
    folder: Path, build: Callable[[int], Tracking], read: Callable[[Path], Any]
) -> None:
    write_down(folder, until=6)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')  # a kill cut it in half
    tracking = build(6)
    tell(tracking, after=6, until=8)
    tracking.close("finished")
    require_all(read(folder), end="finished")


def test_figures_that_are_no_numbers(
    folder: Path, build: Callable[[int], Tracking], read: Callable[[Path], Any]
) -> None:
    tracking = build(0)
    tracking.figures(2, {"step": 2, "loss": math.nan, "lr": 0.1})
    tracking.close("failed")
    found = read(folder).rows[2]
    assert math.isnan(found["loss"])
    assert np.float32(found["lr"]) == np.float32(0.1)


def test_the_configuration_is_there(
    tracker: str, folder: Path, build: Callable[[int], Tracking], read: Callable[[Path], Any]
) -> None:
    build(0).close("finished")
    found = read(folder).parameters
    if tracker == "wandb":  # as a tree, which its pages can fold
        assert found["train"] == {"steps": 12, "lr": 0.004, "trackers": []}
        assert found["backbone"] == {"channels": [8, 16]}
        assert (found["project"], found["tags"]) == ("moons", ["small", "grey"])
        return
    values = {"train.steps": 12, "train.lr": 0.004, "backbone.channels": "[8, 16]", "train.trackers": "[]"}
    assert {name: found[name] for name in values} == (
        {name: str(value) for name, value in values.items()} if tracker == "mlflow" else values
    )
