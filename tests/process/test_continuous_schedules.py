"""Continuous schedules and flows: printed figures, closed forms, EDM's code in a line, diffusers' shifts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diffloom.kinds import Schedule, SpaceInfo
from diffloom.process import (
    EDMSchedule,
    Exploding,
    FlowSchedule,
    Level,
    LinearSchedule,
    Preserving,
    SizeShift,
    Straight,
    VESchedule,
    VPSchedule,
)

SCHEDULES: dict[str, Schedule] = {
    "vp": VPSchedule(),
    "vp without a rise": VPSchedule(beta_d=0.0, beta_min=12.0, first=1e-5),
    "ve": VESchedule(),
    "edm": EDMSchedule(),
    "flow": FlowSchedule(),
    "shifted flow": FlowSchedule(shift=3.0, first=0.01),
}
names = st.sampled_from(sorted(SCHEDULES))


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def ratio(schedule: Schedule, t: float) -> float:
    return schedule.build().levels([t])[0].ratio


def test_printed_figures_of_vp() -> None:
    """sigma/alpha of EDM's VP: 0.0104860 at t = 1e-3 and 152.1669703 at t = 1."""
    assert ratio(VPSchedule(), 1e-3) == pytest.approx(0.0104860, abs=5e-8)
    assert ratio(VPSchedule(), 1.0) == pytest.approx(152.1669703, abs=5e-8)


@given(t=st.floats(1e-5, 1), beta_d=st.floats(0, 40), beta_min=st.floats(0.01, 5))
def test_vp_is_its_closed_form(t: float, beta_d: float, beta_min: float) -> None:
    """alpha = exp(−¼·t²·β_d − ½·t·β_min) (Song et al. 2021, eq. 33); σ = √(e^B − 1) in EDM's code."""
    schedule = VPSchedule(beta_d=beta_d, beta_min=beta_min, first=1e-5).build()
    (level, _) = schedule.levels([t])
    exponent = t * t * beta_d / 4 + t * beta_min / 2
    # of a small B float64 keeps 1e-16 in exp(B) − 1, relative to B of at least 1e-7
    assert level.alpha == pytest.approx(math.exp(-exponent), rel=1e-12)
    assert level.ratio == pytest.approx(math.sqrt(math.expm1(2 * exponent)), rel=1e-9)


def test_vp_is_the_limit_of_linear() -> None:
    """1000 steps of β = (β_min + β_d·t)/1000 differ from the integral by half a step of the sum, and β²/2 each."""
    table = LinearSchedule(steps=1000, beta_start=1e-4, beta_end=0.02).build()
    continuous = VPSchedule().build()
    t = torch.arange(99, 1000, 100)
    ours = continuous.log_snr((t + 1).double() / 1000)
    torch.testing.assert_close(ours, table.log_snr(t), rtol=0, atol=0.12)


def test_geometric_times_are_what_networks_are_shown() -> None:
    """EDM's c_noise, ln(σ)/4: −0.1732868 at 0.5 and 1.0955066 at 80; ve's is ln σ."""
    edm, ve = EDMSchedule().build(), VESchedule().build()
    assert edm.level(-2 * math.log(0.5)).t == pytest.approx(-0.1732868, abs=5e-8)
    assert edm.axis.last == pytest.approx(1.0955066, abs=1e-7), "printed cut off, not rounded"
    assert edm.axis.first == math.log(0.002) / 4
    assert ve.level(-2 * math.log(0.5)).t == pytest.approx(math.log(0.5), rel=1e-12)
    # evenly in time is geometrically in sigma (Song et al. 2021, eq. 30)
    times = [ve.axis.at(share) for share in (0.0, 0.5, 1.0)]
    assert [level.sigma for level in ve.levels(times)[:-1]] == pytest.approx(
        [0.02, math.sqrt(2), 100.0], rel=1e-12
    )
    assert edm.levels([edm.axis.last])[0].sigma == pytest.approx(80, rel=1e-14)
    assert edm.prior_std(edm.levels([edm.axis.last])[0]) == pytest.approx(80, rel=1e-14), "EDM's latents · t₀"


def test_sigmas_must_rise() -> None:
    with pytest.raises(ValidationError, match=r"sigma_max 0\.5 must lie above sigma_min 1"):
        VESchedule(sigma_min=1.0, sigma_max=0.5)
    with pytest.raises(ValidationError, match="sigma_max"):
        EDMSchedule(sigma_max=0.001)


@given(t=st.floats(1e-3, 1))
def test_flow_is_a_straight_line(t: float) -> None:
    (level, _) = FlowSchedule().build().levels([t])
    assert (level.t, level.alpha, level.sigma) == (t, 1 - t, t)


def test_flow_shift_bends_the_axis() -> None:
    """Printed: shift 3 takes 1, .75, .5, .25, .1 to 1, .9, .75, .5, .25; the noise at a time stays."""
    axis = FlowSchedule(shift=3.0, first=1e-9).build().axis
    shares = doubles(1, 0.75, 0.5, 0.25, 0.1)
    # `first` lies 1e-9 above 0, which moves a share by that at most, times a slope of 3
    torch.testing.assert_close(axis.at(shares), doubles(1, 0.9, 0.75, 0.5, 0.25), rtol=0, atol=3e-9)
    assert axis.at(0.0) == pytest.approx(1e-9)
    assert FlowSchedule().build().levels([0.3]) == FlowSchedule(shift=3.0).build().levels([0.3])


@pytest.mark.parametrize("shift", [1.0, 3.0, 0.4])
def test_flow_training_times_are_diffusers(shift: float) -> None:
    """Its sigmas of training are the shifted 1/1000 … 1, in float32."""
    peer = FlowMatchEulerDiscreteScheduler(shift=shift)
    first = shift * 1e-3 / (1 + (shift - 1) * 1e-3)
    axis = FlowSchedule(shift=shift, first=first).build().axis
    ours = axis.at(torch.linspace(1, 0, 1000, dtype=torch.float64))
    np.testing.assert_allclose(ours, peer.sigmas.double(), rtol=1e-5)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_linear_size_shift_is_diffusers(size: int) -> None:
    """Its pipelines compute μ from the tokens of 2×2 latents, and its scheduler shifts by exp(μ)."""
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    peer = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    sigmas = np.linspace(1.0, 0.05, 20)
    peer.set_timesteps(sigmas=sigmas.tolist(), mu=calculate_shift((size // 2) ** 2))
    space = SpaceInfo(channels=16, height=size, width=size)
    built = FlowSchedule(shift=SizeShift(rule="linear"), first=1e-3).build(space=space)
    assert built.axis.shift == pytest.approx(SizeShift(rule="linear").of(space))
    shift = built.axis.shift
    ours = shift * sigmas / (1 + (shift - 1) * sigmas)
    np.testing.assert_allclose(ours, peer.sigmas[:-1].double(), rtol=1e-6)


def test_sqrt_size_shift_is_the_root_of_the_tokens() -> None:
    """Esser et al. 2024: √(m/n); 1024² pixels against 256² in latents of an eighth are 4096 against 256 tokens."""
    rule = SizeShift(rule="sqrt")
    assert rule.of(SpaceInfo(channels=16, height=128, width=128)) == 4.0
    assert rule.of(SpaceInfo(channels=16, height=32, width=32)) == 1.0
    assert SizeShift(rule="sqrt", base=0.75).of(SpaceInfo(channels=16, height=128, width=128)) == 3.0
    with pytest.raises(ValueError, match="patches of 2×2 do not fill 5×4"):
        rule.of(SpaceInfo(channels=1, height=5, width=4))
    with pytest.raises(ValidationError, match="a shift is above 0"):
        SizeShift(rule="sqrt", base=-1.0)
    with pytest.raises(ValidationError, match="a line needs two"):
        SizeShift(rule="linear", max_tokens=256)


def test_a_shift_by_size_needs_the_size() -> None:
    schedule = FlowSchedule(shift=SizeShift(rule="sqrt"))
    with pytest.raises(ValueError, match=r"depends on the size.*build\(space=\.\.\.\)"):
        schedule.build()
    assert schedule.axis.last == 1.0


@given(name=names, u=st.floats(0, 1))
def test_the_time_of_a_log_snr_is_its_inverse(name: str, u: float) -> None:
    """Log-SNRs of up to 24 have an ulp of 4e-15; the steepest time, vp's at the clean end, is 1e-3 of it."""
    schedule = SCHEDULES[name].build()
    t = schedule.axis.at(u)
    assert float(schedule.time(schedule.log_snr(doubles(t)))[0]) == pytest.approx(t, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_times_off_the_axis_are_refused(name: str) -> None:
    schedule = SCHEDULES[name].build()
    for wrong in (schedule.axis.first - 1e-3, schedule.axis.last + 1e-3, math.nan, math.inf):
        for function in (schedule.alpha, schedule.sigma, schedule.log_snr):
            with pytest.raises(ValueError, match="is not in the schedule: times run from"):
                function(doubles(schedule.axis.at(0.5), wrong))
    ends = torch.tensor([schedule.axis.first, schedule.axis.last])  # float32, which may round off the axis
    assert schedule.log_snr(ends).tolist() == pytest.approx(
        schedule.log_snr(ends.double()).tolist(), rel=1e-6
    )


@given(log_snr=st.floats(-30, 30))
def test_paths_keep_what_they_promise(log_snr: float) -> None:
    """alpha² + sigma² = 1, alpha = 1, alpha + sigma = 1; and the log-SNR is that of the pair."""
    snr = doubles(log_snr)
    for path, kept in (
        (Preserving(), lambda a, s: a * a + s * s),
        (Exploding(), lambda a, s: a),
        (Straight(), lambda a, s: a + s),
    ):
        alpha, sigma = path.alpha(snr), path.sigma(snr)
        torch.testing.assert_close(kept(alpha, sigma), doubles(1.0), rtol=1e-14, atol=0)
        torch.testing.assert_close(2 * (alpha / sigma).log(), snr, rtol=1e-12, atol=1e-12)


def test_a_walk_begins_at_the_paths_own_std() -> None:
    """1 where the variance is preserved; sigma where it explodes; √(alpha² + sigma²) on a straight line."""
    level = Level(0.5, 0.6, 0.9)
    assert Preserving().prior_std(level) == 1.0
    assert Exploding().prior_std(level) == 0.9
    assert Straight().prior_std(level) == math.hypot(0.6, 0.9)
    assert FlowSchedule().build().prior_std(FlowSchedule().build().levels([1.0])[0]) == 1.0
