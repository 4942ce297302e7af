"""The learning-rate schedules diffloom brings. Oracles: torch's, diffusers' and transformers' schedulers run beside.

Those count the steps that are done; ours counts the step that is taken, from 1. A peer's rate after n scheduler steps
is the rate of optimiser step n + 1, but in the warm-up, where theirs wastes the first step on a rate of 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers.optimization
import pytest
import torch
import transformers
from torch import nn
from torch.optim import lr_scheduler

from diffloom.kinds import LRSchedule
from diffloom_optimization import Constant, Cosine, InverseSqrt, Linear, Steps, Trapezoid

STEPS, WARMUP = 60, 7


def rates(peer: Callable[[torch.optim.Optimizer], Any], count: int = STEPS) -> list[float]:
    """A peer's rates after 0, 1, … scheduler steps, the highest being 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = peer(optimizer)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def ours(schedule: LRSchedule, steps: int = STEPS) -> list[float]:
    return [schedule.factor(step, steps=steps) for step in range(1, steps + 1)]


PEERS = [
    (Constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    (Linear(), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=STEPS)),
    (Linear(floor=0.1), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, total_iters=STEPS)),
    (Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS)),
    (Cosine(floor=0.2), lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS, eta_min=0.2)),
    (Steps(milestones=(9, 30, 30), drop=0.5), lambda o: lr_scheduler.MultiStepLR(o, [9, 30, 30], gamma=0.5)),
    (Steps(milestones=(50, 20)), lambda o: lr_scheduler.MultiStepLR(o, [20, 50])),
]


@pytest.mark.parametrize(("schedule", "peer"), PEERS, ids=lambda value: type(value).__name__)
def test_follows_torch(schedule: LRSchedule, peer: Any) -> None:
    assert ours(schedule) == pytest.approx(rates(peer), abs=1e-12)


WARMED = [
    (Constant, {}, lambda o: diffusers.optimization.get_constant_schedule_with_warmup(o, WARMUP)),
    (Linear, {}, lambda o: diffusers.optimization.get_linear_schedule_with_warmup(o, WARMUP, STEPS)),
    (Cosine, {}, lambda o: diffusers.optimization.get_cosine_schedule_with_warmup(o, WARMUP, STEPS)),
    (
        Cosine,
        {"floor": 0.3},
        lambda o: transformers.get_cosine_with_min_lr_schedule_with_warmup(o, WARMUP, STEPS, min_lr_rate=0.3),
    ),
    (
        Trapezoid,
        {"decay_steps": 20},
        lambda o: transformers.get_wsd_schedule(
            o, WARMUP, 20, num_stable_steps=STEPS - 20 - WARMUP, decay_type="linear"
        ),
    ),
]


@pytest.mark.parametrize(
    ("schedule", "fields", "peer"), WARMED, ids=lambda value: getattr(value, "__name__", "")
)
def test_follows_diffusers_and_transformers(schedule: type[LRSchedule], fields: Any, peer: Any) -> None:
    """After the warm-up one step later than theirs; in it, at the same count."""
    came = ours(schedule(warmup_steps=WARMUP, **fields))
    theirs = rates(peer)
    assert came[WARMUP:] == pytest.approx(theirs[WARMUP:], abs=1e-12)
    assert came[:WARMUP] == pytest.approx(theirs[1 : WARMUP + 1], abs=1e-12)


def test_a_trapezoid_with_a_floor_follows_transformers() -> None:
    """Whose warm-up would begin at the floor too: without one."""
    theirs = rates(
        lambda o: transformers.get_wsd_schedule(
            o, 0, 20, num_stable_steps=STEPS - 20, decay_type="linear", min_lr_ratio=0.1
        )
    )
    assert ours(Trapezoid(decay_steps=20, floor=0.1)) == pytest.approx(theirs, abs=1e-12)


def test_inverse_sqrt_follows_transformers() -> None:
    """Whose warm-up is as long as its plateau would be: the same line, counted alike."""
    theirs = rates(lambda o: transformers.get_inverse_sqrt_schedule(o, num_warmup_steps=WARMUP), STEPS + 1)
    assert ours(InverseSqrt(warmup_steps=WARMUP, reference_steps=WARMUP)) == pytest.approx(
        theirs[1:], abs=1e-12
    )


def test_inverse_sqrt_figures() -> None:
    """Constant to t_ref, halved at 4 t_ref."""
    schedule = InverseSqrt(reference_steps=100)
    assert [schedule.factor(step, steps=10**6) for step in (1, 100, 400, 10_000)] == [1.0, 1.0, 0.5, 0.1]


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Trapezoid(decay_steps=10)], ids=lambda s: s.name)
@pytest.mark.parametrize("warmup_steps", [0, 10, STEPS])
def test_no_step_is_wasted(schedule: LRSchedule, warmup_steps: int) -> None:
    """Every step has a rate, the first and the last too."""
    assert min(ours(schedule.model_copy(update={"warmup_steps": warmup_steps}))) > 0


def test_which_may_be_made_longer() -> None:
    """A resumed run may be given more steps where the rates so far stay what they were."""
    open_ended = {
        part for part in (Constant, Linear, Cosine, InverseSqrt, Steps, Trapezoid) if part.open_ended
    }
    assert open_ended == {Constant, InverseSqrt, Steps}


def test_a_trapezoid_must_fit_the_run() -> None:
    schedule = Trapezoid(decay_steps=30, warmup_steps=20)
    schedule.check(steps=50)
    with pytest.raises(
        ValueError, match="20 steps of warm-up and 30 of decay do not fit a run of 49; make them"
    ):
        schedule.check(steps=49)
