"""What every walk promises its caller, whatever its algorithm."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import diffloom_samplers
from diffloom.kinds import Walk
from diffloom.process import Denoised, FixedLarge, FixedSmall, Level, LinearSchedule
from diffloom.testing.course import GivenNoise, course_of, walked
from diffloom_samplers import (
    DDIM,
    DDPM,
    DPMPP2S,
    Ancestry,
    Churn,
    DPMSolver2S,
    DPMSolver3S,
    Euler,
    Heun,
)

SCHEDULE = LinearSchedule().build()
LEVELS = SCHEDULE.levels([800, 600, 400, 200, 0])
WALKS: dict[str, tuple[Walk, int]] = {
    "ddpm": (DDPM(), 1),
    "ddim": (DDIM(), 1),
    "ddim eta": (DDIM(eta=0.7), 1),
    "euler": (Euler(), 1),
    "heun": (Heun(), 2),
    "dpm_solver_2s": (DPMSolver2S(), 2),
    "dpm_solver_3s": (DPMSolver3S(), 3),
    "dpmpp_2s": (DPMPP2S(), 2),
    "dpmpp_2s ancestral": (DPMPP2S(ancestry=Ancestry(eta=1.0)), 2),
}
"""Each with its calls in a step between noisy levels."""
by_walk = pytest.mark.parametrize(("walk", "calls"), WALKS.values(), ids=WALKS)
X = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
NOISES = [torch.randn(X.shape, generator=torch.Generator().manual_seed(100 + i)) for i in range(5)]


def denoise(x: Tensor, level: Level) -> Denoised:
    x0 = torch.tanh(x)
    return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)


@by_walk
def test_steps_are_a_chain_over_the_levels(walk: Walk, calls: int) -> None:
    start = X.clone()
    steps = walked(walk, X, LEVELS, denoise, variance=FixedSmall(), at=SCHEDULE.level)
    assert [step.index for step in steps] == list(range(5))
    assert [step.level for step in steps] == list(LEVELS[:-1])
    assert [step.next_level for step in steps] == list(LEVELS[1:])
    assert [step.t for step in steps] == [800, 600, 400, 200, 0]
    assert steps[0].x_t_BCHW is X
    assert torch.equal(X, start), "the caller's x was changed in place"
    for step, later in pairwise(steps):
        assert later.x_t_BCHW is step.following_BCHW
    for step in steps:
        assert torch.equal(step.x0_BCHW, torch.tanh(step.x_t_BCHW))
        assert step.following_BCHW.dtype == torch.float32
    torch.testing.assert_close(steps[-1].following_BCHW, steps[-1].x0_BCHW, rtol=0, atol=0)


@by_walk
def test_the_caller_drives(walk: Walk, calls: int) -> None:
    """A generator: nothing is computed before it is asked for, and leaving early computes nothing more."""
    made = []

    def counting(x: Tensor, level: Level) -> Denoised:
        made.append(level.t)
        return denoise(x, level)

    steps = iter(walk(X, course_of(X, LEVELS, counting, at=SCHEDULE.level)))
    assert made == []
    next(steps)
    next(steps)
    assert len(made) == 2 * calls
    assert made[0] == 800
    assert made[calls] == 600


@pytest.mark.parametrize(
    ("walk", "variance", "expected"),
    [
        (DDIM(), FixedLarge(), []),
        (DDIM(eta=0.7), FixedSmall(), [0, 1, 2, 3]),
        (DDPM(), FixedSmall(), [0, 1, 2, 3]),
        (DDPM(), FixedLarge(), [0, 1, 2, 3]),
        (Heun(), FixedSmall(), []),
        (DPMSolver2S(ancestry=Ancestry(eta=1.0)), FixedSmall(), [0, 1, 2, 3]),
        # before a step: into the clean level too, where its noise is denoised with the rest
        (Heun(churn=Churn(s_churn=1.0)), FixedSmall(), [0, 1, 2, 3, 4]),
        # sigma/alpha of the five: 25.7, 6.17, 2.04, 0.72, 0.01
        (Euler(churn=Churn(s_churn=1.0, s_min=1.0, s_max=9.0)), FixedSmall(), [1, 2]),
    ],
)
def test_noise_is_drawn_where_it_is_needed_only(
    walk: Walk, variance: FixedSmall | FixedLarge, expected: list[int]
) -> None:
    """By its own step's number, and after a step never into the clean level."""
    noise = GivenNoise(NOISES)
    walked(walk, X, LEVELS, denoise, noise=noise, variance=variance, at=SCHEDULE.level)
    assert noise.asked == [(index, 0) for index in expected]


@by_walk
def test_one_step_goes_straight_to_x0(walk: Walk, calls: int) -> None:
    [step] = walked(walk, X, LEVELS[-2:], denoise, variance=FixedLarge())
    assert torch.equal(step.following_BCHW, torch.tanh(X))


@by_walk
def test_a_step_from_pure_noise_is_of_first_order(walk: Walk, calls: int) -> None:
    """One call, no infinity on the way, and x where Euler's step takes it: alpha_s·x0 + sigma_s·ε."""
    pure, none = Level(999.0, 0.0, 1.0), GivenNoise([torch.zeros_like(X)])
    [step] = walked(walk, X, (pure, LEVELS[0]), denoise, noise=none)
    eta = 1.0 if isinstance(walk, DDPM) else getattr(walk, "ancestry", Ancestry()).eta
    kept = (1 - eta**2) ** 0.5  # of the old noise, which shares no signal with x_s
    expected = LEVELS[0].alpha * torch.tanh(X) + kept * LEVELS[0].sigma * X
    torch.testing.assert_close(step.following_BCHW, expected, rtol=0, atol=1e-6)


def test_a_tensor_of_standard_deviations_is_used_pixel_by_pixel() -> None:
    """As a learned variance gives it."""

    class PerPixel(FixedSmall):
        def std(self, current: Level, following: Level, denoised: Denoised) -> Tensor | float:
            return 0.0 if following.is_clean else 0.1 * denoised.x0_BCHW.abs()

    still = [torch.zeros_like(X)] * 5
    plain = walked(DDPM(), X, LEVELS, denoise, noise=GivenNoise(still), variance=FixedSmall())
    noisy = walked(DDPM(), X, LEVELS, denoise, noise=GivenNoise(NOISES), variance=PerPixel())
    expected = plain[0].following_BCHW + 0.1 * torch.tanh(X).abs() * NOISES[0]
    torch.testing.assert_close(noisy[0].following_BCHW, expected, rtol=0, atol=5e-7)  # float32's, of 4


def test_importing_the_plugin_does_not_import_torch() -> None:
    code = "import sys, diffloom_samplers; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(hasattr(diffloom_samplers, name) for name in diffloom_samplers.__all__)
    with pytest.raises(AttributeError, match="PLMS"):
        diffloom_samplers.PLMS  # noqa: B018
