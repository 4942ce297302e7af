"""Fixed variances against diffusers' DDPMScheduler, single steps and strides; their logarithms, and the learned one's,
against improved-diffusion's tables; nothing is added into the clean level."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from diffloom.kinds import ReverseVariance, Variance
from diffloom.process import (
    CLEAN,
    Denoised,
    FixedLarge,
    FixedLargeVariance,
    FixedSmall,
    FixedSmallVariance,
    Learned,
    LearnedVariance,
    LinearSchedule,
    Posterior,
    TableSchedule,
)

EMPTY = Denoised(x0_BCHW=torch.zeros(1), eps_BCHW=torch.zeros(1))


@pytest.mark.parametrize("name", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("steps", [1000, 50, 13])
def test_diffusers(name: str, steps: int) -> None:
    """Its `_get_variance` at every step but the last, on its table and grid put into float64."""
    peer = DDPMScheduler(variance_type=name)  # type: ignore[arg-type]
    peer.alphas_cumprod = peer.alphas_cumprod.double()
    peer.set_timesteps(steps)
    times = peer.timesteps.tolist()
    levels = TableSchedule(peer.alphas_cumprod).levels(times)
    ours: ReverseVariance = {"fixed_small": FixedSmall(), "fixed_large": FixedLarge()}[name]
    for index, t in enumerate(times[:-1]):
        expected = float(peer._get_variance(t)) ** 0.5
        # peer's 1 − ᾱ_t/ᾱ_s cancels to 1e-12 where it is 1e-4
        assert ours.std(levels[index], levels[index + 1], EMPTY) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("variance", [FixedSmall(), FixedLarge()])
@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_nothing_is_added_into_the_clean_level(variance: ReverseVariance, t: int) -> None:
    assert variance.std(LinearSchedule().build().levels([t])[0], CLEAN, EMPTY) == 0.0


def test_fixed_large_is_right_for_standard_normal_data() -> None:
    """Ho et al. 2020, section 3.2: E[x₀ | x_t] is alpha·x_t, and the step x_s = mean + √β·z keeps N(0, 1)."""
    levels = LinearSchedule().build().levels([999, 990, 500, 499, 3, 0])[:-1]
    for current, following in pairwise(levels):
        posterior = Posterior.between(current, following)
        slope = posterior.x_t + posterior.x0 * current.alpha
        std = FixedLarge().std(current, following, EMPTY)
        assert slope**2 + std**2 == pytest.approx(1, rel=1e-13)
        assert math.sqrt(posterior.variance) < std


@pytest.mark.parametrize(
    ("component", "runtime"), [(FixedSmallVariance, FixedSmall), (FixedLargeVariance, FixedLarge)]
)
def test_components_build_their_variance(component: type[Variance], runtime: type) -> None:
    assert type(component().build()) is runtime
    assert not component.learned


def test_logarithms_are_improved_diffusion_s_clipped_tables() -> None:
    """posterior_log_variance_clipped, and log β with its first entry replaced by that of β̃₂; float64 numpy."""
    betas = np.asarray(LinearSchedule().betas())
    bar = np.cumprod(1 - betas)
    posterior = betas * (1 - np.append(1.0, bar[:-1])) / (1 - bar)
    tables = {
        FixedSmall(): np.log(np.append(posterior[1], posterior[1:])),
        FixedLarge(): np.log(np.append(posterior[1], betas[1:])),
    }
    levels = LinearSchedule().build().levels(range(999, -1, -1))
    least = Posterior.between(*levels[-3:-1]).variance
    for variance, table in tables.items():
        for t in (0, 1, 2, 500, 999):
            step = levels[999 - t], levels[1000 - t]
            # its 1 − ᾱ_t/ᾱ_s cancels to 1e-12 where it is 1e-4
            assert variance.log_variance(*step, EMPTY, least=least) == pytest.approx(table[t], rel=1e-11)


def test_the_learned_variance_is_the_output_s_exponential() -> None:
    """improved-diffusion's LEARNED: model_log_variance is what the network says, into the clean level too."""
    raw = torch.linspace(-9, 2, 8, dtype=torch.float64).view(1, 2, 2, 2)
    given = Denoised(x0_BCHW=raw, eps_BCHW=raw, variance_BCHW=raw)
    current, following, clean = LinearSchedule().build().levels([400, 300])
    std = Learned().std(current, following, given)
    torch.testing.assert_close(std, raw.exp().sqrt(), rtol=1e-14, atol=0)
    for end in (following, clean):
        assert Learned().log_variance(current, end, given, least=1e-3) is raw
    assert Learned().std(current, clean, given) == 0.0
    with pytest.raises(ValueError, match="there is none: make the denoiser with learned_variance=True"):
        Learned().std(current, clean, EMPTY)
    assert LearnedVariance.learned
    assert type(LearnedVariance().build()) is Learned
