"""What every walk promises its caller, whatever its algorithm."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import diffloom_samplers
from diffloom.kinds import Walk
from diffloom.process import Denoised, FixedLarge, FixedSmall, Level, LinearSchedule
from diffloom_samplers import DDIM, DDPM, DDIMSampler, DDPMSampler, Leading

LEVELS = LinearSchedule().build().levels(Leading().times(length=1000, steps=5))
WALKS: dict[str, Walk] = {"ddpm": DDPM(), "ddim": DDIM(), "ddim eta": DDIM(eta=0.7)}
by_walk = pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
X = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def denoise(x: Tensor, level: Level) -> Denoised:
    x0 = torch.tanh(x)
    return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)


def noise(index: int) -> Tensor:
    return torch.randn(X.shape, generator=torch.Generator().manual_seed(100 + index))


@by_walk
def test_steps_are_a_chain_over_the_levels(walk: Walk) -> None:
    start = X.clone()
    steps = list(walk(X, LEVELS, denoise, noise=noise, variance=FixedSmall()))
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
def test_the_caller_drives(walk: Walk) -> None:
    """A generator: nothing is computed before it is asked for, and leaving early computes nothing more."""
    calls = []

    def counting(x: Tensor, level: Level) -> Denoised:
        calls.append(level.t)
        return denoise(x, level)

    steps = iter(walk(X, LEVELS, counting, noise=noise, variance=FixedSmall()))
    assert calls == []
    next(steps)
    next(steps)
    assert calls == [800, 600]


@pytest.mark.parametrize(
    ("walk", "variance", "expected"),
    [
        (DDIM(), FixedLarge(), []),
        (DDIM(eta=0.7), FixedSmall(), [0, 1, 2, 3]),
        (DDPM(), FixedSmall(), [0, 1, 2, 3]),
        (DDPM(), FixedLarge(), [0, 1, 2, 3]),
    ],
)
def test_noise_is_drawn_where_it_is_needed_only(
    walk: Walk, variance: FixedSmall | FixedLarge, expected: list[int]
) -> None:
    """Never into the clean level, and by its own step's number."""
    drawn = []

    def recording(index: int) -> Tensor:
        drawn.append(index)
        return noise(index)

    list(walk(X, LEVELS, denoise, noise=recording, variance=variance))
    assert drawn == expected


@by_walk
def test_one_step_goes_straight_to_x0(walk: Walk) -> None:
    [step] = walk(X, LEVELS[-2:], denoise, noise=noise, variance=FixedLarge())
    assert torch.equal(step.following_BCHW, torch.tanh(X))


def test_a_tensor_of_standard_deviations_is_used_pixel_by_pixel() -> None:
    """As a learned variance gives it."""

    class PerPixel:
        def std(self, current: Level, following: Level, denoised: Denoised) -> Tensor | float:
            return 0.0 if following.is_clean else 0.1 * denoised.x0_BCHW.abs()

    plain = list(DDPM()(X, LEVELS, denoise, noise=lambda i: torch.zeros_like(X), variance=FixedSmall()))
    noisy = next(iter(DDPM()(X, LEVELS, denoise, noise=noise, variance=PerPixel())))
    expected = plain[0].following_BCHW + 0.1 * torch.tanh(X).abs() * noise(0)
    assert torch.equal(noisy.following_BCHW, expected)


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_eta_outside_0_1_is_refused(eta: float) -> None:
    with pytest.raises(ValueError, match="eta is between 0 and 1"):
        DDIM(eta=eta)
    with pytest.raises(ValidationError, match="eta"):
        DDIMSampler(eta=eta)


def test_components_build_their_walks() -> None:
    assert type(DDPMSampler().build()) is DDPM
    walk = DDIMSampler(eta=0.25).build()
    assert type(walk) is DDIM
    assert walk.eta == 0.25


def test_importing_the_plugin_does_not_import_torch() -> None:
    code = "import sys, diffloom_samplers; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(hasattr(diffloom_samplers, name) for name in diffloom_samplers.__all__)
    with pytest.raises(AttributeError, match="PLMS"):
        diffloom_samplers.PLMS  # noqa: B018
