"""Lint rules of the process and of its walk, with the components themselves. Oracle: what goes wrong without them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from diffloom import config
from diffloom.config.document import Document
from diffloom.config.lint import lint
from diffloom.errors import ConfigError
from diffloom.kinds import NoiseSchedule
from diffloom.plugins import load_registry

BASE: dict[str, Any] = {
    "image": {"size": 8, "channels": 1},
    "backbone": {"type": "unet", "channels": [8], "attention_resolutions": [], "norm_groups": 4},
    "schedule": "linear",
    "prediction": "v",
    "sampling": {"sampler": "ddim", "steps": 10, "spacing": "trailing"},
}
ZERO = {"type": "zero_terminal_snr", "schedule": "scaled_linear"}
PURE: list[Any] = [
    ZERO,
    "flow",
    {"type": "betas", "values": [0.1, 0.5, 1.0]},
    {"type": "log_snr_shift", "schedule": "flow"},
]
NEEDY, KNOWING = ("epsilon", "score"), ("x0", "v", "flow", "edm", "posterior_mean")


def problems(**changes: Any) -> list[str]:
    """What the rules find, as `place: message`; the changes replace whole sections."""
    try:
        document = config.load({**BASE, **changes}, registry=load_registry()).document
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    assert isinstance(document, Document)
    assert not lint(document)
    return []


def sampling(**changes: Any) -> dict[str, Any]:
    return {**BASE["sampling"], **changes}


def built(schedule: Any) -> NoiseSchedule:
    document = config.load({**BASE, "schedule": schedule}, registry=load_registry()).document
    assert isinstance(document, Document)
    return document.schedule.build(space=document.space_info)


def test_the_base_is_sound() -> None:
    assert problems() == []


@pytest.mark.parametrize("schedule", PURE, ids=lambda s: s if isinstance(s, str) else s["type"])
@pytest.mark.parametrize("prediction", NEEDY)
def test_predictions_of_noise_at_pure_noise_are_refused(schedule: Any, prediction: str) -> None:
    (problem,) = problems(schedule=schedule, prediction=prediction, sampling=sampling(steps=3))
    assert f"ends without any signal, where x₀ cannot be told from diffloom/{prediction}" in problem
    assert "take prediction: v, or a schedule that keeps some signal" in problem


@pytest.mark.parametrize("prediction", [*NEEDY, *KNOWING])
def test_the_rule_says_what_arithmetic_does(prediction: str) -> None:
    """At the last level of such a schedule x₀ of any output is infinite, or it is not: `needs_signal` knows."""
    schedule = built(ZERO)
    (level, _) = schedule.levels([schedule.axis.last])
    component = load_registry().find("prediction", prediction)
    conversion = component().build(schedule=schedule)  # type: ignore[attr-defined]
    x0, _ = conversion.x0_eps(
        torch.tensor(0.3), torch.tensor(0.7), torch.tensor(level.alpha), torch.tensor(level.sigma)
    )
    assert math.isfinite(x0) == (prediction in KNOWING)
    assert component.needs_signal == (prediction in NEEDY)  # type: ignore[attr-defined]


@pytest.mark.parametrize("prediction", KNOWING)
def test_predictions_that_know_pure_noise_are_taken(prediction: str) -> None:
    assert problems(schedule=ZERO, prediction=prediction) == []


@pytest.mark.parametrize("schedule", ["vp", "ve", "edm", {"type": "flow", "shift": 3}, "learned"])
def test_a_prediction_of_the_time_before_needs_counted_times(schedule: Any) -> None:
    (problem,) = problems(schedule=schedule, prediction="posterior_mean")
    assert "the times of diffloom/" in problem
    assert "are continuous; take prediction: v, or a schedule of counted times" in problem


@pytest.mark.parametrize(
    ("schedule", "changes", "told"),
    [
        (
            "linear",
            {"steps": 1001},
            "sampling.steps: 1001 steps are more than the 1000 times of diffloom/linear",
        ),
        (
            {"type": "linear", "steps": 20},
            {"steps": 21, "spacing": "karras"},
            "sampling.steps: 21 steps are more than the 20 times of diffloom/linear; set sampling.steps to 20 or less",
        ),
        (
            "linear",
            {"spacing": {"type": "leading", "offset": 901}},
            "sampling.spacing: leading with offset 901 would",
        ),
        (
            "vp",
            {"spacing": {"type": "leading", "offset": 1}},
            "sampling.spacing: offset 1 counts times, and this",
        ),
        (
            "linear",
            {"spacing": {"type": "sections", "sections": "10,15,20"}},
            "sampling.spacing: these sections are 45",
        ),
        (
            "edm",
            {"spacing": {"type": "sections", "sections": "10"}},
            "sampling.spacing: sections count times",
        ),
        (
            "linear",
            {"spacing": {"type": "explicit", "sigmas": [3, 1]}},
            "sampling.spacing: 2 levels are listed",
        ),
        (
            "flow",
            {"steps": 1, "spacing": {"type": "explicit", "times": [900.0]}},
            "sampling.spacing: time 900 is not in the schedule: times run from 0.001 to 1",
        ),
        (
            "flow",
            {"steps": 1, "spacing": "linspace"},
            "sampling.spacing: a single step of this spacing would start",
        ),
    ],
)
def test_levels_that_cannot_be_had_are_told_with_their_place(
    schedule: Any, changes: dict[str, Any], told: str
) -> None:
    (problem,) = problems(schedule=schedule, sampling=sampling(**changes))
    assert told in problem


@pytest.mark.parametrize("schedule", ["vp", "ve", "edm", "flow", "learned"])
@pytest.mark.parametrize(
    "spacing", ["leading", "trailing", "linspace", "quadratic", "karras", "beta", "beta_ratio"]
)
def test_continuous_times_are_never_too_few(schedule: str, spacing: str) -> None:
    assert problems(schedule=schedule, sampling=sampling(steps=5000, spacing=spacing)) == []


def test_what_a_schedule_wraps_is_judged_with_its_place() -> None:
    (problem,) = problems(schedule={"type": "zero_terminal_snr", "schedule": "vp"})
    assert "only a table is rescaled, and diffloom/vp has none" in problem
    assert problem.startswith("schedule")
    (unknown,) = problems(schedule={"type": "zero_terminal_snr", "schedule": {"type": "linear", "step": 9}})
    assert "unknown key of diffloom/linear" in unknown
    assert unknown.startswith("schedule.schedule.step")


def test_given_betas_travel_as_numbers(tmp_path: Any) -> None:
    """The resolved text holds them, so that it can be read where the file is not."""
    registry = load_registry()
    file = tmp_path / "betas.txt"
    file.write_text("0.1 0.2\n0.5")
    loaded = config.load(
        {**BASE, "schedule": {"type": "betas", "values": str(file)}, "sampling": sampling(steps=3)},
        registry=registry,
    )
    assert isinstance(loaded.document, Document)
    text = config.to_yaml(loaded.document, registry)
    file.unlink()
    again = config.parse(text, name="resolved", registry=registry).document
    assert isinstance(again, Document)
    assert again.schedule == loaded.document.schedule
    assert "values: [0.1, 0.2, 0.5]" in text
