"""The fall of the signal along an axis, against derivatives written by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffloom.kinds import TimeAxis
from diffloom.process import (
    FlowSchedule,
    LearnedSchedule,
    LinearSchedule,
    VESchedule,
    VPSchedule,
    log_snr_fall,
    share_of,
    snr_fall,
)


@given(u=st.floats(0, 1), shift=st.floats(0.2, 5), first=st.floats(1e-3, 0.2))
def test_a_share_is_the_inverse_of_its_time(u: float, shift: float, first: float) -> None:
    axis = TimeAxis(first, 1.0, None, shift=shift)
    share = torch.tensor([u], dtype=torch.float64)
    torch.testing.assert_close(share_of(axis, axis.at(share)), share, rtol=0, atol=1e-12)


@given(t=st.floats(0.001, 1))
def test_vp(t: float) -> None:
    """log SNR = −log(e^B − 1) with B = ½·19.9·t² + .1·t, so that it falls by B'·e^B/(e^B − 1)."""
    schedule = VPSchedule().build()
    big, rate = 0.5 * 19.9 * t**2 + 0.1 * t, 19.9 * t + 0.1
    expected = rate * math.exp(big) / math.expm1(big) * (schedule.axis.last - schedule.axis.first)
    # one-sided at the two ends: half a difference's width of curvature
    assert float(log_snr_fall(schedule, torch.tensor([t]).double())) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("u", [0.1, 0.5, 0.9])
def test_geometric_noise_falls_evenly(u: float) -> None:
    schedule = VESchedule(sigma_min=0.01, sigma_max=50.0).build()
    t = torch.tensor([schedule.axis.at(u)], dtype=torch.float64)
    assert float(log_snr_fall(schedule, t)) == pytest.approx(2 * math.log(5000), rel=1e-8)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("u", [0.05, 0.4, 0.9])
def test_a_bent_axis_is_taken_by_its_share(shift: float, u: float) -> None:
    """Flow: SNR = ((1 − t)/t)² and t = s·v/(1 + (s − 1)·v), v from v₀ to 1 as u from 0 to 1: the chain rule."""
    schedule = FlowSchedule(shift=shift).build()
    first = schedule.axis.first
    v0 = first / (shift - (shift - 1) * first)
    v = v0 + u * (1 - v0)
    t = shift * v / (1 + (shift - 1) * v)
    slope = shift / (1 + (shift - 1) * v) ** 2 * (1 - v0)
    assert float(schedule.axis.at(u)) == pytest.approx(t, rel=1e-9)
    found = snr_fall(schedule, torch.tensor([t], dtype=torch.float64))
    assert float(found) == pytest.approx(2 * (1 - t) / t**3 * slope, rel=1e-6)
    found = log_snr_fall(schedule, torch.tensor([t], dtype=torch.float64))
    assert float(found) == pytest.approx(2 / (t * (1 - t)) * slope, rel=1e-6)


def test_of_counted_times_it_is_a_difference() -> None:
    schedule = LinearSchedule(steps=50).build()
    snr = (schedule.alpha_bar / (1 - schedule.alpha_bar)).tolist()
    found = snr_fall(schedule, torch.tensor([0.0, 1.0, 49.0], dtype=torch.float64)).tolist()
    expected = [50 * (snr[0] - snr[1]), 50 * (snr[0] - snr[1]), 50 * (snr[48] - snr[49])]
    assert found == pytest.approx(expected, rel=1e-10)


def test_where_no_signal_is_left_snr_falls_no_more() -> None:
    """The straight flow's SNR is flat at t = 1, and its log-SNR has no slope there."""
    found = snr_fall(FlowSchedule().build(), torch.ones(1, dtype=torch.float64))
    assert 0 <= float(found) < 1e-6


def test_gradients_reach_a_learned_schedule() -> None:
    torch.manual_seed(0)
    schedule = LearnedSchedule().build()
    log_snr_fall(schedule, torch.tensor([0.3, 0.7], dtype=torch.float64)).sum().backward()  # type: ignore[no-untyped-call]
    moved = [
        name for name, weight in schedule.named_parameters() if weight.grad is not None and weight.grad.any()
    ]
    assert "log_snr_span" in moved
    assert "shape.slopes_H" in moved
