"""Pairings: immiscible noise against every permutation there is, and in a loss, whose target goes with it."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from diffloom.process import Draws, Epsilon, FixedSmall, LinearSchedule, Process
from diffloom_objectives import ImmisciblePairing, IndependentPairing, SimpleObjective

SCHEDULE = LinearSchedule().build()
PROCESS = Process(schedule=SCHEDULE, prediction=Epsilon(), variance=FixedSmall())


def batch(rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, rows, 1, 2, 2, generator=generator, dtype=torch.float64)
    return x0, eps


def length(x0: Tensor, eps: Tensor) -> float:
    return float((x0 - eps).flatten(1).norm(dim=1).sum())


@pytest.mark.parametrize("seed", range(5))
def test_immiscible_noise_is_nearest_of_all_permutations(seed: int) -> None:
    """All 720 orders of six examples, tried one by one."""
    x0, eps = batch(6, seed)
    found = length(x0, ImmisciblePairing().build()(x0, eps))
    best = min(length(x0, eps[list(order)]) for order in permutations(range(6)))
    assert found == pytest.approx(best, rel=1e-12)
    assert found < length(x0, eps)


def test_immiscible_noise_is_the_optimum_that_scipy_finds() -> None:
    """The paper's algorithm 1 by hand: distances in a double loop, then the assignment."""
    x0, eps = batch(40)
    distances = [[float((picture - noise).square().sum().sqrt()) for noise in eps] for picture in x0]
    _, order = linear_sum_assignment(distances)
    assert torch.equal(ImmisciblePairing().build()(x0, eps), eps[order])


def test_independent_noise_stays() -> None:
    x0, eps = batch(4)
    assert IndependentPairing().build()(x0, eps) is eps


def test_the_target_goes_with_the_noise() -> None:
    """A network that reads the noise off x_t has no loss: x_t and the target have the same noise, in its new order."""
    x0, _ = batch(12)
    seen: list[Tensor] = []

    def network(x_t: Tensor, t_B: Tensor) -> Tensor:
        alpha, sigma = (f(t_B.double()).view(-1, 1, 1, 1) for f in (SCHEDULE.alpha, SCHEDULE.sigma))
        seen.append((x_t - alpha * x0) / sigma)
        return seen[-1]

    draws = Draws.of(0, range(12))
    loss = SimpleObjective(pairing=ImmisciblePairing()).build()(network, x0, process=PROCESS, draws=draws)
    assert float(loss.max()) < 1e-20  # rounding over sigma ≥ 0.01
    drawn = draws.normal("noise", (1, 2, 2), dtype=torch.float64)
    paired = ImmisciblePairing().build()(x0, drawn)
    assert not torch.equal(paired, drawn)
    torch.testing.assert_close(seen[0], paired, rtol=0, atol=1e-11)
