"""The figures of a row. Oracles: means taken by hand; the meter that was not interrupted.

Legend: B batch.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffloom.kinds import TimeAxis
from diffloom.process import share_of
from diffloom.training.meter import BUCKETS, Buckets, Meter
from diffloom.training.task import Losses

CPU = torch.device("cpu")
TABLE = TimeAxis.table(1000)
EDM = TimeAxis(-1.55, 1.1, None)
SHIFTED = TimeAxis(0.0, 1.0, None, shift=3.0)


def losses(each: list[float], times: list[float] | None = None, **figures: float) -> Losses:
    return Losses(
        torch.tensor(each),
        {name: torch.tensor(value) for name, value in figures.items()},
        None if times is None else torch.tensor(times),
    )


def test_late_detection_names_the_first_bad_step() -> None:
    """On a GPU the flag is read only before something is written: it still says when it happened."""
    meter = Meter(CPU)
    good, bad = 1.0, float("inf")
    for step, (loss, norm) in enumerate([(good, good), (good, bad), (bad, good), (good, good)], 1):
        meter.add(step=step, losses=losses([loss]), grad_norm=torch.tensor(norm))
    assert meter.bad_step() == 2


def test_a_row_has_means_and_the_losses_of_each_part_that_was_met() -> None:
    """Of 1000 times, 0 … 999, an eighth of the way is 124.875."""
    meter = Meter(CPU, axis=TABLE)
    meter.add(step=1, losses=losses([1.0, 3.0], [0, 124], own=2.0), grad_norm=torch.tensor(1.0))
    meter.add(step=2, losses=losses([5.0, 9.0], [125, 999], own=4.0), grad_norm=torch.tensor(2.0))
    assert meter.read() == {
        "loss": 4.5,
        "own": 3.0,
        "grad_norm": 1.5,
        "loss_bucket_0": 2.0,
        "loss_bucket_1": 5.0,
        "loss_bucket_7": 9.0,
    }
    meter.add(step=3, losses=losses([1.0], [500]), grad_norm=torch.tensor(1.0))
    assert meter.read() == {
        "loss": 1.0,
        "grad_norm": 1.0,
        "loss_bucket_4": 1.0,
    }  # nothing stays of the last row


def test_without_a_schedule_there_are_no_parts() -> None:
    meter = Meter(CPU)
    meter.add(step=1, losses=losses([1.0, 3.0]), grad_norm=torch.tensor(1.0))
    assert meter.read() == {"loss": 2.0, "grad_norm": 1.0}


@pytest.mark.parametrize("axis", [TABLE, EDM, SHIFTED], ids=["table", "edm", "shifted flow"])
@given(share=st.floats(0, 1))
def test_parts_are_eighths_of_the_axis(axis: TimeAxis, share: float) -> None:
    """The share of a time, found anew from it in float64, lies in its part; float32 times blur the bounds by 1e-5."""
    t_B = torch.tensor([axis.at(share)])
    part = int(Buckets(axis, CPU).of(t_B))
    again = float(share_of(axis, t_B))
    assert part / BUCKETS - 1e-5 <= again <= (part + 1) / BUCKETS + 1e-5


def test_a_note_is_in_the_next_row_alone() -> None:
    meter = Meter(CPU)
    meter.note({"noise_scale": 2.0})
    meter.note({"noise_scale": 3.0})
    for expected in ({"noise_scale": 3.0}, {}):
        meter.add(step=1, losses=losses([1.0]), grad_norm=torch.tensor(1.0))
        assert meter.read() == {"loss": 1.0, "grad_norm": 1.0, **expected}


def test_a_resumed_row_is_the_same() -> None:
    """Stopped and restored between two steps of a row: equal to the last bit."""
    straight, before, after = (Meter(CPU, axis=TABLE) for _ in range(3))
    first, second = losses([0.1, 0.7], [3, 400], own=0.3), losses([0.2, 0.9], [401, 998], own=0.7)
    for meter in (straight, before):
        meter.add(step=1, losses=first, grad_norm=torch.tensor(0.1))
        meter.note({"noise_scale": 0.1})
    after.load(before.tensors())
    for meter in (straight, after):
        meter.add(step=2, losses=second, grad_norm=torch.tensor(0.7))
    assert after.read() == straight.read()
