"""The samplers on data whose perfect denoiser is known: order without noise, strong convergence with it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from diffloom.kinds import Sampler
from diffloom.process import CLEAN, Level
from diffloom.testing.closed_forms import (
    GaussianData,
    MixtureData,
    exploding_at,
    flowing_at,
    normal,
    preserving_at,
)
from diffloom.testing.course import walked
from diffloom_sde import (
    DPMpp2MSDESampler,
    DPMpp3MSDESampler,
    DPMppSDESampler,
    SASolverSampler,
)

AT = {"preserving": preserving_at, "exploding": exploding_at, "flowing": flowing_at}
by_process = pytest.mark.parametrize("at", AT.values(), ids=AT)
SDES: dict[str, Sampler] = {
    "dpmpp_sde": DPMppSDESampler(),
    "dpmpp_sde at half": DPMppSDESampler(eta=0.5),
    "2m": DPMpp2MSDESampler(),
    "2m heun": DPMpp2MSDESampler(solver_type="heun"),
    "2m at half": DPMpp2MSDESampler(eta=0.5),
    "3m": DPMpp3MSDESampler(),
    "sa": SASolverSampler(),
    "sa at half, third order": SASolverSampler(predictor_order=3, corrector_order=3, tau=0.5),
}


def spread(at: Any, steps: int, *, first: float = -9.0, last: float = 9.0) -> tuple[Level, ...]:
    """Levels of even log-SNR, `steps` steps from the first to the last, then clean."""
    return (*(at(first + (last - first) * i / steps) for i in range(steps + 1)), CLEAN)


NOISELESS: dict[str, Sampler] = {
    "dpmpp_sde": DPMppSDESampler(eta=0.0),
    "dpmpp_sde r": DPMppSDESampler(eta=0.0, r=0.3),
    "2m": DPMpp2MSDESampler(eta=0.0),
    "2m heun": DPMpp2MSDESampler(eta=0.0, solver_type="heun"),
    "3m": DPMpp3MSDESampler(eta=0.0),
    "3m published": DPMpp3MSDESampler(eta=0.0, solver_type="published"),
    **{
        f"sa {p} {c}": SASolverSampler(tau=0.0, predictor_order=p, corrector_order=c)
        for p, c in ((1, 0), (2, 0), (3, 0), (1, 1), (1, 2), (2, 2), (2, 3), (3, 2), (1, 3))
    },
    "sa 4 4": SASolverSampler(tau=0.0, predictor_order=4, corrector_order=4, lower_order_final=False),
}


@pytest.mark.parametrize("sampler", NOISELESS.values(), ids=NOISELESS)
@by_process
def test_order_without_noise(sampler: Sampler, at: Any) -> None:
    """On the probability flow of a mixture, whose solution is known, the error falls by the order or more.

    More where the leading term is small on this problem, as it is in 3M and in SA-Solver of order 3 and 4.
    """
    data, noise = MixtureData(), torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 3, 3)
    assert sampler.order is not None
    assert not sampler.stochastic
    errors = []
    for steps in (60, 120):
        levels = spread(at, steps)
        (arrived,) = [
            step.following_BCHW
            for step in walked(sampler.build(), data.at(levels[0], noise), levels, data, at=at)
            if step.next_level == levels[-2]
        ]
        errors.append(float((arrived - data.at(levels[-2], noise)).abs().max()))
    order = math.log2(errors[0] / errors[1])
    assert order > sampler.order - 0.25
    if sampler.order < 3:
        assert order < sampler.order + 0.35


@pytest.mark.parametrize(
    ("sampler", "at"),
    [
        *((sampler, preserving_at) for sampler in SDES.values()),
        (SDES["dpmpp_sde"], exploding_at),
        (SDES["2m at half"], flowing_at),
    ],
    ids=[*SDES, "dpmpp_sde exploding", "2m at half, flowing"],
)
def test_strong_convergence(sampler: Sampler, at: Any) -> None:
    """Walks of N and 2N steps follow one path: the error against 640 steps on it falls as N^−1, sample by sample.

    1 is the strong rate of solvers of additive noise that know only the path's increments (Kloeden & Platen 1992,
    section 10.3); a path of its own for each N would leave the error where it is.
    """
    data, shape = GaussianData(0.3, 0.5), (1, 1, 16, 16)
    start, samples = data.at(at(-9.0), normal(shape, seed=5)), {}
    for steps in (20, 40, 80, 640):
        levels = spread(at, steps)
        walk = walked(sampler.build(), start, levels, data, at=at)
        (samples[steps],) = [step.following_BCHW for step in walk if step.next_level == levels[-2]]
    errors = [float((samples[n] - samples[640]).square().mean().sqrt()) for n in (20, 40, 80)]
    assert errors[0] > errors[1] > errors[2]
    assert math.log(errors[0] / errors[2], 4) > 0.8, errors
    assert errors[-1] < 0.05
