"""What cannot work together is refused, and nothing else. Oracle: the parts themselves, tried without asking lint.

Of a whole product of documents; each refusal must say what is wrong and, behind a semicolon or colon, what to do.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch

from diffloom import config
from diffloom.config.document import Document
from diffloom.errors import Problem
from diffloom.kinds import Prediction, Sampler, Schedule, SpaceInfo
from diffloom.registry import Registry
from diffloom.testing.closed_forms import normal
from diffloom.testing.course import walked
from diffloom.testing.oracle import Oracle

SPACE = SpaceInfo(channels=1, height=2, width=2)
REMEDY = re.compile(
    r".{15,}[;:] (add|change|give|lengthen|leave|make|put|remove|set|shorten|take|train|use) .{3,}", re.DOTALL
)
"""A reason, and behind it an order."""


@pytest.fixture(scope="module")
def document(registry: Registry) -> Document:
    """A document that nothing is wrong with."""
    text = {
        "image": {"size": 2, "channels": 1},
        "backbone": {"type": "oracle"},
        "schedule": "linear",
        "prediction": "v",
        "sampling": {"sampler": "ddim", "steps": 8, "spacing": "log_snr_uniform"},
    }
    loaded = config.parse(json.dumps(text), name="sound.yaml", registry=registry).document
    return config.require_diffusion(loaded, place="")


def problems(document: Document, *, sampling: dict[str, Any] | None = None, **parts: Any) -> list[Problem]:
    """What lint says of the document with other parts."""
    changed = document.model_copy(update=parts)
    if sampling:
        changed = changed.model_copy(update={"sampling": changed.sampling.model_copy(update=sampling)})
    return list(config.lint(changed))


def test_every_refusal_names_a_reason_and_a_remedy(
    document: Document, specimens: Callable[[str], list[Any]]
) -> None:
    """Of all schedules × predictions × samplers, × variances, × spacings and both ends."""
    told = set()
    for schedule, prediction, sampler in product(*map(specimens, ("schedule", "prediction", "sampler"))):
        told |= {
            problem.message
            for problem in problems(
                document, schedule=schedule, prediction=prediction, sampling={"sampler": sampler}
            )
        }
    for schedule, variance, spacing, end in product(
        *map(specimens, ("schedule", "variance", "spacing")), ("clean", "first")
    ):
        told |= {
            problem.message
            for problem in problems(
                document, schedule=schedule, variance=variance, sampling={"spacing": spacing, "end": end}
            )
        }
    assert len(told) >= 5
    assert [message for message in told if not REMEDY.fullmatch(message)] == []


def test_predictions_are_refused_where_they_fail_and_nowhere_else(
    document: Document, specimens: Callable[[str], list[Any]]
) -> None:
    """Where no x₀ comes out of the perfect network's output at the noisiest time, or the part itself refuses."""
    refused = 0
    for schedule, prediction in product(specimens("schedule"), specimens("prediction")):
        expected = not predicts_everywhere(schedule, prediction)
        found = [item.place for item in problems(document, schedule=schedule, prediction=prediction)]
        assert found == (["prediction"] if expected else []), (schedule, prediction)
        refused += expected
    assert refused >= 2


def predicts_everywhere(schedule: Schedule, prediction: Prediction) -> bool:
    """Whether x₀ is found at the schedule's ends."""
    built = schedule.build(space=SPACE)
    try:
        conversion = prediction.build(schedule=built)
    except ValueError:
        return False
    x0, eps = normal((1, 1, 2, 2), seed=1), normal((1, 1, 2, 2), seed=2)
    for level in built.levels([built.axis.last, built.axis.first])[:-1]:
        alpha, sigma = (torch.tensor(value, dtype=torch.float64) for value in (level.alpha, level.sigma))
        target = conversion.target(x0, eps, alpha, sigma)
        found, _ = conversion.x0_eps(target, alpha * x0 + sigma * eps, alpha, sigma)
        # at SNR 1e-84 (sqrt) ε leaves no digit of x₀, but a number
        if not bool(found.isfinite().all()):
            return False
    return True


def test_samplers_are_refused_where_they_fail_and_nowhere_else(
    document: Document, any_sampler: Sampler, specimens: Callable[[str], list[Any]]
) -> None:
    """Where a walk from the schedule's noisiest level raises ValueError, or ends without a picture."""
    mixture = Oracle().mixture(space=SPACE, condition=document.condition_info)
    for schedule in specimens("schedule"):
        built = schedule.build(space=SPACE)
        levels = document.sampling.spacing.levels(built, steps=document.sampling.steps)
        first = levels[0]
        start = normal((1, *SPACE.shape), seed=1) * math.hypot(first.alpha, first.sigma)
        try:
            *_, last = walked(
                any_sampler.build(),
                start,
                (*levels, built.levels([])[-1]),
                mixture.denoise,
                at=built.level,
            )
            works = bool(last.following_BCHW.isfinite().all())
        except ValueError:
            works = False
        found = problems(document, schedule=schedule, sampling={"sampler": any_sampler})
        assert bool(found) != works, (schedule, found)
        assert {item.place for item in found} <= {"sampling.sampler"}
