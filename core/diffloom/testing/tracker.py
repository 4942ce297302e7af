"""Laws of the kind `tracker`. What a tracker wrote only its own program can say: that is its author's test."""

from __future__ import annotations

import json
import math
import random
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from diffloom.hooks import RunInfo
from diffloom.kinds import Tracker, Tracking
from diffloom.pictures import save_png
from diffloom.testing.checks import BrokenLawError, Check, expect

CONFIG = "train: {steps: 6, lr: 0.1}\nplugins: {diffloom: 0.1.0}\n"
SECRET = re.compile(r"(^|_)(api_?key|key|password|secret|token|credentials?)($|_)")
"""Names of fields that ask for what must not travel with the weights."""


def tells_a_run_and_goes_on_with_it(component: Tracker) -> None:
    """It takes rows, pictures and findings, and after a kill those of the steps that are taken again; figures that are
    no numbers too, since those of a run that goes wrong are.
    """
    with _run_folder(rows=0) as folder:
        first = _built(component, folder, first_step=0)
        for step in (2, 4):
            first.figures(step, _row(step))
        first.picture(4, "samples", Image.new("L", (8, 6)))
        first.finding(4, "a-cause", "What was measured: 1 < 2 & 3.")
        first.figures(5, {**_row(5), "loss": math.nan, "grad_norm": math.inf})
        first.close("failed")
        _log(folder, [2])
        again = _built(component, folder, first_step=3)
        for step in (4, 6):
            again.figures(step, _row(step))
        again.picture(6, "samples", Image.new("RGB", (8, 6)))
        again.close("finished")


def joins_a_run_that_has_begun(component: Tracker) -> None:
    """It can be added to a run that went without it, and leaves the run's own files as they are."""
    with _run_folder(rows=4) as folder:
        before = _bytes_of(folder)
        tracking = _built(component, folder, first_step=4)
        tracking.figures(5, _row(5))
        tracking.close("interrupted")
        now = _bytes_of(folder)
        changed = [name for name, content in before.items() if now.get(name) != content]
        expect(not changed, "the run's own files as they were", f"other bytes in {', '.join(changed)}")


def leaves_the_process_as_it_is(component: Tracker) -> None:
    """What it is given stays as it was, and so do random generators, output, signals and the working folder."""
    with _run_folder(rows=0) as folder:
        before = _process()
        tracking = _built(component, folder, first_step=0)
        row, picture = _row(2), Image.new("RGB", (8, 6), "red")
        tracking.figures(2, row)
        tracking.picture(2, "samples", picture)
        tracking.finding(2, "a-cause", "text")
        expect(row == _row(2), "the row as it was", row)
        expect(picture.tobytes() == bytes((255, 0, 0)) * 48, "the picture as it was", "another")
        tracking.close("finished")
        now = _process()
        changed = [name for name, state in before.items() if now[name] != state]
        expect(not changed, "the process as it was", f"other {', '.join(changed)}")


def asks_for_no_secret(component: Tracker) -> None:
    """Keys and passwords come from the program's login or the environment, for the file travels with the weights."""
    found = [name for name in type(component).model_fields if SECRET.search(name)]
    expect(not found, "no field for a key, token or password", ", ".join(found))


def _built(component: Tracker, folder: Path, *, first_step: int) -> Tracking:
    tracking = component.build(RunInfo(folder, CONFIG, first_step, 6))
    for method in ("figures", "picture", "finding", "close"):
        if not callable(getattr(tracking, method, None)):
            raise BrokenLawError(f"expected build() to give something with a method {method}()")
    return tracking


def _row(step: int) -> dict[str, float]:
    return {"step": step, "loss": 1 / step, "lr": 0.1, "images_per_second": 10.5}


@contextmanager
def _run_folder(*, rows: int) -> Iterator[Path]:
    """A run's folder with so many rows, and a sheet of samples where there are any."""
    with tempfile.TemporaryDirectory(prefix="diffloom-") as place:
        folder = Path(place) / "run"
        (folder / "samples").mkdir(parents=True)
        for name in ("config.yaml", "config.resolved.yaml"):
            (folder / name).write_text(CONFIG, encoding="utf-8")
        _log(folder, range(1, rows + 1))
        if rows:
            save_png(Image.new("L", (8, 6)), folder / "samples" / f"step-{rows:08d}.png", recipe={})
        yield folder


def _log(folder: Path, steps: Any) -> None:
    text = "".join(json.dumps(_row(step)) + "\n" for step in steps)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _process() -> dict[str, Any]:
    """What a program could do to the process that tells it."""
    return {
        "torch random state": torch.get_rng_state().numpy().tobytes(),
        "numpy random state": repr(np.random.get_state()),
        "python random state": random.getstate(),
        "stdout": sys.stdout,
        "stderr": sys.stderr,
        "signal handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "working folder": Path.cwd(),
        "default type": torch.get_default_dtype(),
    }


CHECKS: tuple[Check, ...] = (
    tells_a_run_and_goes_on_with_it,
    joins_a_run_that_has_begun,
    leaves_the_process_as_it_is,
    asks_for_no_secret,
)
