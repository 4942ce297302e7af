"""What a step asks of Python beside its network calls: functions, counted. Legend: B batch, C channels, H, W."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
import torch

from diffloom.kinds import Walk
from diffloom.process import Course, Posterior, ScaledLinearSchedule
from diffloom.testing.composed import composed_course
from diffloom_guidance import ClassifierFreeGuidance
from diffloom_multistep import DPMpp2M
from diffloom_samplers import DDIM, DDPM

SCHEDULE = ScaledLinearSchedule().build()
LEVELS = SCHEDULE.levels([float(t) for t in range(901, 0, -100)])
X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

FUNCTIONS: dict[str, tuple[Walk, dict[str, Any], int]] = {
    # the walk, the step, the denoiser under its condition, its question (and the level's hash), what was said, the
    # mixture (2), the step's record; and the network
    "ddim": (DDIM(), {}, 11),
    # and what is remembered (2), a sum of more terms (1)
    "dpmpp_2m": (DPMpp2M(), {}, 14),
    # the variance, by two levels' hashes, the noise and a sum of more terms
    "ddpm": (DDPM(), {}, 16),
    # what is asked at this level, by its hash, and the outputs mixed (5)
    "ddim guided": (DDIM(), {"guidance": ClassifierFreeGuidance(scale=3.0)}, 18),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_step_calls_few_functions(name: str) -> None:
    """Each takes about as long as a thousand numbers of a pass. No guidance is asked anything again."""
    Posterior.between.cache_clear()  # levels that equal those of another test, but are not they, are compared
    walk, options, most = FUNCTIONS[name]
    outputs = {rows: torch.cat([X] * rows) for rows in (1, 2)}
    course = composed_course(
        LEVELS,
        lambda seen, t, condition: outputs[seen.shape[0] // X.shape[0]],
        noise_BCHW=torch.ones_like(X),
        schedule=SCHEDULE,
        **options,
    )
    called = functions(walk, course)
    assert len(called) <= most, called
    assert not [function for function in called if function.startswith(("ClassifierFree", "Strength"))]


def functions(walk: Walk, course: Course) -> list[str]:
    """Python's functions that are called in a step in the middle of the walk."""
    steps = walk(X, course)
    for _ in range(6):
        next(steps)
    called: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        next(steps)
    finally:
        sys.setprofile(before)
    return called
