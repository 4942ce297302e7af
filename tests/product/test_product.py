"""Schedule × prediction × sampler as documents: text → lint → assembly → samples, with the oracle for a network.

Oracle: the sampler itself on variance-preserving levels, where the mixture denoises in float64 with no network,
prediction or schedule in between. A solver works on x/alpha over sigma/alpha, which no path changes: at the same
log-SNRs and from the same noise every combination must draw the same image, deterministic or not. That this image is
right is told by its order (test_orders.py) and its statistics (test_stochastic.py).

Every sampler meets every schedule with every prediction: more than two thousand documents.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from torch import Tensor

from diffloom import Pipeline, config
from diffloom.assembly import assemble
from diffloom.config.plain import plain
from diffloom.errors import ConfigError
from diffloom.kinds import Prediction, Sampler, Schedule, SpaceInfo
from diffloom.process import CLEAN, Draws, FixedSmall, KeyedNoise, Level
from diffloom.registry import Registry
from diffloom.request import Request
from diffloom.testing.closed_forms import normal, preserving_at
from diffloom.testing.course import walked
from diffloom.testing.oracle import GaussianMixture, OracleNetwork

STEPS, COUNT = 8, 2
SPACE = SpaceInfo(channels=1, height=2, width=2)
LARGEST, SMALLEST = 5.0, 0.2
"""Of sigma/alpha, unless a walk begins at pure noise. All schedules reach as far, but for short lists of betas."""
KEYS = tuple((0, sample) for sample in range(COUNT))
WITHIN = 1e-5
"""How far an image may be off: the network is shown t in float32, 6e-8 of it off, and log-SNR falls by up to 100 where
t rises by 1. Mostly it is 1e-8."""
EXCEPTIONS = {
    "posterior_mean": (
        1e-4,
        "the mean of a small step hardly depends on x₀, and its error is divided by that",
    ),
    "ode": (
        1e-4,
        "where the solver's next step begins depends on the last digits of its error; its rtol is 1e-5",
    ),
}
"""Prediction or sampler → how far its images may be off, and why."""
OWN_PATH = {
    "predictor_corrector": "its Langevin steps are as long as the paper has them, and x's size is in them"
}
"""Samplers whose steps are not the same on all paths, and why: their reference walks the combination's own levels."""


@dataclass(frozen=True)
class Combination:
    """A document that was accepted."""

    pipe: Pipeline
    sampler: Sampler
    levels: tuple[Level, ...]

    @property
    def mixture(self) -> GaussianMixture:
        """The data."""
        network = self.pipe.backbone
        assert isinstance(network, OracleNetwork)
        mixture = network.mixture
        return replace(mixture, means_JCHW=mixture.means_JCHW.detach())

    @property
    def pure(self) -> bool:
        """Whether the walk begins without signal."""
        return self.levels[0].alpha == 0

    def drawn(self) -> tuple[Tensor, int]:
        """The image, from noise of the first level's size in x, and how many network calls it took."""
        calls: list[object] = []
        hook = self.pipe.backbone.register_forward_hook(lambda *call: calls.append(None))
        first = self.levels[0]
        start = normal((COUNT, *SPACE.shape), seed=1) * math.hypot(first.alpha, first.sigma)
        *_, last = Request(count=COUNT, start_BCHW=start).plan(self.pipe).stream()
        hook.remove()
        return last.following_BCHW, len(calls)

    def calls(self) -> set[int | None]:
        """How many network calls it may take.

        A step that begins without signal may be of first order, and save the calls that a step has beyond the first.
        """
        said = self.sampler.calls(STEPS)
        if said is None or not self.pure:
            return {said}
        more = (self.sampler.calls(STEPS + 1) or 0) - said
        return {said, said - (more - 1)}


def test_the_same_noise_makes_the_same_image_on_every_schedule(
    any_schedule: Schedule,
    any_prediction: Prediction,
    specimens: Callable[[str], list[Any]],
    registry: Registry,
    references: dict[Any, Tensor],
) -> None:
    wrong, accepted = [], 0
    for sampler in by_default(specimens("sampler")):
        combination = built(any_schedule, any_prediction, sampler, registry)
        if combination is None:
            continue  # refused: test_refusals.py
        accepted += 1
        image, calls = combination.drawn()
        error = (image - reference(combination, references)).abs().max().item()
        within = max(EXCEPTIONS.get(part.name, (WITHIN, ""))[0] for part in (any_prediction, sampler))
        if not error < within:
            wrong.append(f"{sampler!r}: the image is {error:.3g} off")
        if sampler.calls(STEPS) is not None and calls not in combination.calls():
            wrong.append(f"{sampler!r}: {calls} network calls, not {sampler.calls(STEPS)}")
    assert wrong == []
    assert accepted >= 15 or not makes_sense(any_schedule, any_prediction)


def makes_sense(schedule: Schedule, prediction: Prediction) -> bool:
    """Whether x₀ can be told from the prediction at all of the schedule's times."""
    without_signal = schedule.zero_snr and prediction.needs_signal
    without_steps = schedule.axis.count is None and prediction.needs_counted_times
    return not (without_signal or without_steps)


def by_default(samplers: list[Sampler]) -> list[Sampler]:
    """One configuration of each: its defaults, or what it needs."""
    first = {sampler.name: sampler for sampler in reversed(samplers)}
    return [
        sampler
        if any(field.is_required() for field in type(sampler).model_fields.values())
        else type(sampler)()
        for sampler in first.values()
    ]


def built(
    schedule: Schedule, prediction: Prediction, sampler: Sampler, registry: Registry
) -> Combination | None:
    """The combination in float64; None where lint refuses it."""
    noise_schedule = schedule.build(space=SPACE)
    noisiest, cleanest, _ = noise_schedule.levels([noise_schedule.axis.last, noise_schedule.axis.first])
    ends = {"sigma_min": max(SMALLEST, cleanest.ratio)}
    if not schedule.zero_snr:
        ends["sigma_max"] = min(LARGEST, noisiest.ratio)
    text = json.dumps(
        {
            "image": {"size": [SPACE.height, SPACE.width], "channels": SPACE.channels},
            "backbone": {"type": "oracle", "std": 0.4, "spread": 0.6},
            "schedule": plain(schedule),
            "prediction": plain(prediction),
            "sampling": {
                "sampler": plain(sampler),
                "steps": STEPS,
                "spacing": {"type": "log_snr_uniform", **ends},
            },
        }
    )
    try:
        document = config.require_diffusion(
            config.parse(text, name="product.yaml", registry=registry).document, place=""
        )
    except ConfigError:
        return None
    pipe = assemble(document, registry=registry)
    pipe.module.double()
    return Combination(pipe, sampler, pipe.levels(document.sampling))


@pytest.fixture(scope="module")
def references() -> dict[Any, Tensor]:
    """Reference images, by sampler and levels."""
    return {}


def reference(combination: Combination, known: dict[Any, Tensor]) -> Tensor:
    """The sampler's image, from the same noise at the same log-SNRs, with nothing between it and the mixture."""
    own = combination.sampler.name in OWN_PATH
    levels = combination.levels if own else tuple(preserving(level) for level in combination.levels)
    key = (combination.sampler, tuple((round(level.t, 9), round(level.log_snr, 9)) for level in levels))
    if key not in known:
        first = levels[0]
        start = normal((COUNT, *SPACE.shape), seed=1) * math.hypot(first.alpha, first.sigma)
        steps = walked(
            combination.sampler.build(),
            start,
            levels,
            combination.mixture.denoise,
            noise=KeyedNoise(Draws(KEYS), SPACE.shape),
            variance=FixedSmall(),
            at=combination.pipe.schedule.level if own else preserving_at,
        )
        known[key] = steps[-1].following_BCHW
    return known[key]


def preserving(level: Level) -> Level:
    """The variance-preserving level of the same log-SNR."""
    if level.is_clean:
        return CLEAN
    return Level(t=100.0, alpha=0.0, sigma=1.0) if level.alpha == 0 else preserving_at(level.log_snr)
