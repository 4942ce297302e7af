"""How fast every deterministic sampler comes near the probability-flow ODE. Oracle: its exact solution.

Of a mixture on a line, by quantiles (`diffloom.testing.oracle.carried`), in float64, on three paths and grids of 10 to
160 steps. The last step, into the clean level, is left out: it jumps to E[x₀ | x_t], whose distance from the flow does
not depend on the grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch

from diffloom.kinds import Sampler
from diffloom.process import CLEAN, Level
from diffloom.testing.closed_forms import exploding_at, flowing_at, preserving_at
from diffloom.testing.course import walked
from diffloom.testing.oracle import GaussianMixture, carried

GRIDS = (10, 20, 40, 80, 160)
CANCELLING = (
    "its second-order error is small, and on coarse grids the third-order one of other sign outweighs it"
)
EXCEPTIONS: dict[tuple[str, str, str], tuple[int, str]] = {
    ("dpmpp_3m", "published", "exploding"): (320, CANCELLING),
    ("dpmpp_3m_sde", "published", "exploding"): (320, CANCELLING),
    ("sa_solver", "", "exploding"): (
        320,
        "its third-order error, of the same sign, outweighs the second-order one",
    ),
}
"""(sampler, its solver_type, path) → the steps by which its order is seen there, and why no sooner."""


def karras(count: int) -> list[Level]:
    """From sigma 80 to 0.01, the seventh roots evenly (Karras et al. 2022, eq. 5), which k-diffusion samples on."""
    roots = [80 ** (1 / 7) + share * (0.01 ** (1 / 7) - 80 ** (1 / 7)) for share in evenly(count)]
    return [exploding_at(-2 * 7 * math.log(root)) for root in roots]


def in_log_snr(at: Callable[[float], Level], count: int) -> list[Level]:
    """Log-SNR from −9 to 7, evenly: sigma/alpha from 90 to 0.03."""
    return [at(-9 + 16 * share) for share in evenly(count)]


def evenly(count: int) -> list[float]:
    return [i / (count - 1) for i in range(count)]


PATHS: dict[str, tuple[Callable[[float], Level], Callable[[int], list[Level]]]] = {
    "preserving": (preserving_at, lambda count: in_log_snr(preserving_at, count)),
    "exploding": (exploding_at, karras),
    "flowing": (flowing_at, lambda count: in_log_snr(flowing_at, count)),
}


@pytest.mark.parametrize("path", PATHS)
def test_the_observed_order_is_the_one_claimed(
    path: str, flow_solver: Sampler, three_modes: GaussianMixture
) -> None:
    """Of the two finest grids, within 0.25; every finer grid is nearer than the one before."""
    at, grid = PATHS[path]
    late, _ = EXCEPTIONS.get(
        (flow_solver.name, getattr(flow_solver, "solver_type", ""), path), (GRIDS[-1], "")
    )
    grids = (*GRIDS, late) if late > GRIDS[-1] else GRIDS
    errors = [error(flow_solver, three_modes, [*grid(steps + 1), CLEAN], at) for steps in grids]
    assert sorted(errors, reverse=True) == errors, errors
    order = math.log2(errors[-2] / errors[-1])
    assert flow_solver.order is not None
    assert abs(order - flow_solver.order) <= 0.25, (order, errors)


def error(
    sampler: Sampler, mixture: GaussianMixture, levels: Sequence[Level], at: Callable[[float], Level]
) -> float:
    """Root mean square distance from the exact solution at the last noisy level, over nine starts of ±2 deviations."""
    first = levels[0]
    places = torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1, 1, 1)
    start = math.hypot(first.alpha * 0.5, first.sigma) * places
    arrived = walked(sampler.build(), start, levels, mixture.denoise, at=at)[-1].x_t_BCHW
    wanted = carried(mixture, start, first, levels[-2])
    return (arrived - wanted).square().mean().sqrt().item()
