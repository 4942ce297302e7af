"""The spread of the samples, exactly, without drawing any: on normal data every step is linear.

A sample is then a sum of start and noises, each times a factor; the factors come out of one walk whose rows are the
start and the noises, one at a time, and the sum of their squares is the variance: a weak error without chance in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Walk
from diffloom.process import CLEAN, Denoised, Level
from diffloom.testing.closed_forms import GaussianData, exploding_at, flowing_at, preserving_at
from diffloom.testing.course import walked
from diffloom_sde import DPMpp2MSDE, DPMpp3MSDE, DPMppSDE, SASolver

PURE = Level(1.0, 0.0, 1.0)
AT = {"preserving": preserving_at, "exploding": exploding_at, "flowing": flowing_at}
WALKS: dict[str, Walk] = {
    "dpmpp_sde": DPMppSDE(),
    "dpmpp_sde at half": DPMppSDE(eta=0.5),
    "2m": DPMpp2MSDE(),
    "2m at half": DPMpp2MSDE(eta=0.5),
    "2m heun": DPMpp2MSDE(solver_type="heun"),
    "3m": DPMpp3MSDE(),
    "3m published": DPMpp3MSDE(solver_type="published"),
    "sa": SASolver(),
    "sa of third order": SASolver(predictor_order=3, corrector_order=3),
}


class Stretches:
    """Only notes between which points of the path increments are asked for."""

    def __init__(self) -> None:
        self.ends: set[float] = set()

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        raise AssertionError("not of the path")

    def between(self, current: Level, following: Level) -> Tensor:
        self.ends |= {math.exp(current.log_snr), math.exp(following.log_snr)}
        return torch.zeros(1, 1, 1, 1, dtype=torch.float64)


class Path:
    """Row k has the part that the k-th piece of the path has in the increment; row 0, the start, has none."""

    def __init__(self, ends: set[float]) -> None:
        self.pieces = list(pairwise(sorted(ends)))

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        raise AssertionError("not of the path")

    def between(self, current: Level, following: Level) -> Tensor:
        start, end = math.exp(current.log_snr), math.exp(following.log_snr)
        inside = [(b - a) / (end - start) if start <= a < b <= end else 0.0 for a, b in self.pieces]
        return torch.tensor([0.0, *inside], dtype=torch.float64).sqrt().view(-1, 1, 1, 1)


class Independent(Path):
    """Each increment is a piece of its own, even where two lie on the same stretch."""

    def __init__(self, count: int) -> None:
        super().__init__(set(map(float, range(count))))
        self.asked = 0

    def between(self, current: Level, following: Level) -> Tensor:
        self.asked += 1
        row = torch.zeros(len(self.pieces) + 1, dtype=torch.float64)
        row[self.asked] = 1.0
        return row.view(-1, 1, 1, 1)


class Asked:
    """A denoiser that notes the levels it is asked at."""

    def __init__(self) -> None:
        self.levels: list[Level] = []

    def __call__(self, x: Tensor, level: Level) -> Denoised:
        self.levels.append(level)
        return GaussianData(0.0, 0.5)(x, level)


def stds(
    walk: Walk, levels: Sequence[Level], std: float, at: Callable[[float], Level], noise: Path | None = None
) -> list[float]:
    """Of x at the end of each step, for data N(0, std²)."""
    data, stretches = GaussianData(0.0, std), Stretches()
    zero = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    walked(walk, zero, levels, data, noise=stretches, at=at)
    path = noise or Path(stretches.ends)
    start = torch.zeros(len(path.pieces) + 1, 1, 1, 1, dtype=torch.float64)
    start[0] = math.hypot(levels[0].alpha * std, levels[0].sigma)
    return [
        math.sqrt(step.following_BCHW.square().sum().item())
        for step in walked(walk, start, levels, data, noise=path, at=at)
    ]


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
@pytest.mark.parametrize("at", AT.values(), ids=AT)
def test_weak_order_two(walk: Walk, at: Any) -> None:
    """The variance's error falls as N^−2, over grids of even log-SNR, for all of them, whatever their name.

    3M and SA-Solver of order 3 too: what is left of order 2 is the noise within a step, which no increment tells.
    """
    errors = []
    for steps in (80, 160):
        levels = [*(at(-9 + 18 * i / steps) for i in range(steps + 1)), CLEAN]
        due = math.hypot(levels[-2].alpha * 0.5, levels[-2].sigma)
        errors.append(abs(stds(walk, levels, 0.5, at)[-2] / due - 1))
    assert errors[1] < 2e-3
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.25)


KARRAS = [(14.6146 ** (1 / 7) + i / 19 * (0.0292 ** (1 / 7) - 14.6146 ** (1 / 7))) ** 7 for i in range(20)]


@pytest.mark.parametrize(
    ("walk", "noise", "measured"),
    [(DPMpp2MSDE(), None, 1.035), (DPMppSDE(), Independent(60), 0.881)],
    ids=["2m", "dpmpp_sde"],
)
def test_k_diffusions_spread_in_20_steps(walk: Walk, noise: Path | None, measured: float) -> None:
    """For data N(0, 1), on Stable Diffusion's sigmas: the figures were measured on k-diffusion, to within 0.005.

    It was given independent noise for both stretches of a step of dpmpp_sde.
    """
    levels = [*(exploding_at(-2 * math.log(sigma)) for sigma in KARRAS), CLEAN]
    assert stds(walk, levels, 1.0, exploding_at, noise)[-1] == pytest.approx(measured, abs=0.005)


def test_one_path_serves_both_stretches_of_a_step() -> None:
    """With it the same 20 steps of dpmpp_sde lose 2.5 % of the spread, where independent noises lose 12 %."""
    levels = [*(exploding_at(-2 * math.log(sigma)) for sigma in KARRAS), CLEAN]
    assert stds(DPMppSDE(), levels, 1.0, exploding_at)[-1] == pytest.approx(0.9745, abs=5e-4)


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_from_pure_noise(walk: Walk) -> None:
    """A first level without signal is like a first level with next to none; dpmpp_sde looks elsewhere, and as well."""
    levels = [*(flowing_at(-9 + 18 * i / 80) for i in range(81)), CLEAN]
    pure = stds(walk, [PURE, *levels], 0.5, flowing_at)[-1]
    near = stds(walk, [flowing_at(-25.0), *levels], 0.5, flowing_at)[-1]
    assert pure == pytest.approx(near, abs=2e-5)
    assert pure == pytest.approx(0.5, rel=0.01)


def test_a_look_ahead_from_pure_noise() -> None:
    """It looks where SNR is r times that at the end, so that a first step from SNR 0, too, gains from it.

    The error of one step to SNR 4, 2 and 1 falls by more than 4 each time, where that of 2M's first step, which does
    not look, falls by less than 2.
    """
    errors: dict[str, list[float]] = {"looks": [], "does not": []}
    for q in (4.0, 2.0, 1.0):
        end, asked = preserving_at(math.log(q)), Asked()
        walked(DPMppSDE(r=0.3), torch.zeros(1, 1, 1, 1).double(), [PURE, end, CLEAN], asked)
        assert math.exp(asked.levels[1].log_snr) == pytest.approx(0.3 * q)
        due = math.hypot(0.5 * end.alpha, end.sigma)
        for name, walk in (("looks", DPMppSDE()), ("does not", DPMpp2MSDE())):
            errors[name].append(abs(stds(walk, [PURE, end, CLEAN], 0.5, preserving_at)[0] / due - 1))
    assert all(fine < coarse / 4 for coarse, fine in pairwise(errors["looks"]))
    assert all(fine > coarse / 2 for coarse, fine in pairwise(errors["does not"]))
