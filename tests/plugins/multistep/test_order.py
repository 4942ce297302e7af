"""Order of convergence on the probability flow of normal data, whose solution is closed.

Data N(0, s²) have x(t) = x_T·√(alpha_t²s² + sigma_t²)/√(alpha_T²s² + sigma_T²). Here s = 1, the grid is Karras', sigma
from 80 to 0.01, and x_T lies 3 standard deviations out, as in the published figures for k-diffusion's samplers that
two tests pin.

A multistep method starts with steps of lower order, whose error does not fall as its own does. From sigma 80 the
flow is almost straight, and this shows late: `UniPC` of order 3 has 3.9 from 40 to 80 steps and 2.6 from 320 to 640.
From a level without signal, where the first step is long and of first order, it shows at once: all are of order 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch

from diffloom.kinds import Walk
from diffloom.process import Level
from diffloom.testing.closed_forms import (
    GaussianData,
    exploding_at,
    flowing_at,
    preserving_at,
)
from diffloom.testing.course import walked
from diffloom_multistep import (
    DEISSampler,
    DPMpp2MSampler,
    DPMpp3MSampler,
    IPNDMSampler,
    LMSSampler,
    PLMSSampler,
    UniPCSampler,
)

At = Callable[[float], Level]
DATA = GaussianData(0.0, 1.0)

CONFIGURATIONS = [
    *(LMSSampler(solver_order=order) for order in (1, 2, 3, 4)),
    PLMSSampler(),
    *(IPNDMSampler(solver_order=order) for order in (1, 2, 3, 4)),
    *(DEISSampler(solver_order=order) for order in (1, 2, 3)),
    DPMpp2MSampler(),
    DPMpp2MSampler(solver_type="heun"),
    DPMpp3MSampler(),
    *(UniPCSampler(solver_order=order, solver_type=kind) for order in (1, 2) for kind in ("bh1", "bh2")),
]


def karras(steps: int) -> list[float]:
    """log-SNRs of sigmas (EDM's, ρ = 7) from 80 to 0.01."""
    high, low = 80 ** (1 / 7), 0.01 ** (1 / 7)
    return [-14 * math.log(high + i / (steps - 1) * (low - high)) for i in range(steps)]


def error(walk: Walk, levels: Sequence[Level], *, at: At, data: GaussianData = DATA) -> float:
    """The distance of the walk's end from the closed solution."""
    noise = torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)
    end = walked(walk, data.at(levels[0], noise), levels, data, at=at)[-1]
    return abs((end.following_BCHW - data.at(levels[-1], noise)).item())


def errors(walk: Walk, steps: Sequence[int], at: At = exploding_at) -> list[float]:
    return [error(walk, [at(log_snr) for log_snr in karras(count)], at=at) for count in steps]


def orders(found: Sequence[float]) -> list[float]:
    return [math.log2(coarse / fine) for coarse, fine in pairwise(found)]


@pytest.mark.parametrize("sampler", CONFIGURATIONS, ids=str)
def test_the_order_is_as_said(sampler: LMSSampler) -> None:
    """Within 0.25 from 80 to 160 steps; from 20 on, where DEIS of order 3 has stopped crossing 0, errors fall."""
    found = errors(sampler.build(), (10, 20, 40, 80, 160))
    assert found[1:] == sorted(found[1:], reverse=True)
    assert orders(found)[-1] == pytest.approx(sampler.order, abs=0.25)


def test_orders_that_the_start_and_cancellation_hide() -> None:
    """UniPC of order 3 is of order 4 for as long as its start does not show, DEIS of order 4 of more by luck."""
    unipc = orders(errors(UniPCSampler(solver_order=3).build(), (20, 40, 80, 160, 320, 640)))
    assert unipc == pytest.approx([4.21, 3.92, 3.74, 3.24, 2.61], abs=0.05)
    deis = orders(errors(DEISSampler(solver_order=4).build(), (20, 40, 80, 160)))
    assert deis == pytest.approx([4.23, 4.46, 4.76], abs=0.05)


def test_lms_has_the_published_errors() -> None:
    """k-diffusion's, run in float64."""
    found = errors(LMSSampler().build(), (10, 20, 40, 80))
    assert found == pytest.approx([0.381, 0.0636, 0.00649, 0.00051], rel=5e-3)
    assert orders(found) == pytest.approx([2.58, 3.29, 3.67], abs=0.01)


def test_dpmpp_2m_has_the_published_errors() -> None:
    """k-diffusion's, run in float64; it lowers no order at the end of few steps."""
    found = errors(DPMpp2MSampler(lower_order_final=False).build(), (10, 20, 40, 80))
    assert found == pytest.approx([0.359, 0.0997, 0.0215, 0.00500], rel=5e-3)
    assert orders(found) == pytest.approx([1.85, 2.21, 2.11], abs=0.01)


def test_dpmpp_3m_as_published_is_of_order_2() -> None:
    """Half of the parabola's square term is an error of the second order in every step."""
    found = errors(DPMpp3MSampler(solver_type="published").build(), (80, 160, 320, 640))
    assert orders(found)[-1] == pytest.approx(2, abs=0.1)
    exact = errors(DPMpp3MSampler().build(), (640,))
    assert exact[0] < found[-1] / 20


@pytest.mark.parametrize("sampler", CONFIGURATIONS, ids=str)
def test_equal_ratios_are_one_problem(sampler: LMSSampler) -> None:
    """x/alpha depends on sigma/alpha only: preserving, exploding and flowing walks end at one x/alpha, to rounding."""
    ends = []
    for at in (preserving_at, exploding_at, flowing_at):
        levels = [at(log_snr) for log_snr in karras(12)]
        noise = torch.linspace(-3, 3, 8, dtype=torch.float64).view(2, 1, 2, 2)
        end = walked(sampler.build(), DATA.at(levels[0], noise), levels, DATA, at=at)[-1]
        ends.append(end.following_BCHW / end.next_level.alpha)
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "sampler",
    [
        *(kind() for kind in (LMSSampler, PLMSSampler, IPNDMSampler, DEISSampler)),
        *(kind() for kind in (DPMpp2MSampler, DPMpp3MSampler, UniPCSampler)),
        DEISSampler(variable="time"),
    ],
    ids=str,
)
def test_from_no_signal_the_order_is_two(sampler: LMSSampler) -> None:
    """Angles atan(sigma/alpha) falling evenly from a quarter turn: the step out of it is of first order and long."""

    def at(log_snr: float) -> Level:
        angle = math.atan(math.exp(-log_snr / 2))
        return Level(angle, math.cos(angle), math.sin(angle))

    def levels(steps: int) -> list[Level]:
        angles = [math.pi / 2 * (1 - i / steps) for i in range(1, steps * 9 // 10)]
        return [
            Level(math.pi / 2, 0.0, 1.0),
            *(Level(a, math.cos(a), math.sin(a)) for a in angles),
        ]

    data = GaussianData(0.0, 0.5)
    coarse, fine = (error(sampler.build(), levels(steps), at=at, data=data) for steps in (40, 160))
    assert fine < coarse / 4**1.35  # 1.4 (3M) to 2.2 were seen
    assert fine < 3e-4
