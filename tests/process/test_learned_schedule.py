"""The learned schedule: monotone whatever its weights, invertible, and reached by gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from diffloom.process import LearnedSchedule, MonotoneSchedule
from diffloom.process.monotone import Monotone


def wild(seed: int) -> MonotoneSchedule:
    """With weights far from where they begin."""
    torch.manual_seed(seed)
    schedule = LearnedSchedule(hidden=8).build()
    with torch.no_grad():
        for parameter in schedule.parameters():
            parameter.add_(2 * torch.randn(parameter.shape))
    return schedule


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_noise_grows_whatever_the_weights(seed: int) -> None:
    schedule = wild(seed)
    log_snr = schedule.log_snr(torch.linspace(0, 1, 101, dtype=torch.float64)).detach()
    assert bool((log_snr.diff() < 0).all())
    assert float(log_snr[0]) == pytest.approx(schedule.log_snr_max.item(), rel=1e-12)
    span = schedule.log_snr_span.abs().item()
    assert float(log_snr[0] - log_snr[-1]) == pytest.approx(span, rel=1e-12)


@given(seed=st.integers(0, 10_000), t=st.floats(0, 1))
@settings(max_examples=30)
def test_the_time_of_a_log_snr_is_its_inverse(seed: int, t: float) -> None:
    """Found by bisection down to float64; log-SNR tells times apart by its slope, so that it is what must agree."""
    schedule = wild(seed)
    log_snr = schedule.log_snr(torch.tensor(t, dtype=torch.float64)).detach()
    found = schedule.time(log_snr)
    torch.testing.assert_close(schedule.log_snr(found).detach(), log_snr, rtol=1e-12, atol=1e-12)
    assert schedule.time(torch.tensor([math.inf, -math.inf])).tolist() == [0.0, 1.0]


def bisected(schedule: MonotoneSchedule, log_snr: Tensor) -> Tensor:
    """The times by halving [0, 1] until neighbours are one float64: slow, and plain."""
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(54):
        middle = (low + high) / 2
        cleaner = schedule.log_snr(middle) > log_snr
        low, high = torch.where(cleaner, middle, low), torch.where(cleaner, high, middle)
    return high


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_times_are_those_of_bisection(seed: int) -> None:
    """To what float64 tells apart: where the curve is flat many times share a log-SNR, so that this is compared.

    Weights far out add an offset to the network's values whose rounding, 1e-12, remains in their differences.
    """
    schedule, t = wild(seed), torch.rand(20, dtype=torch.float64, generator=torch.manual_seed(seed))
    wanted = schedule.log_snr(t).detach()
    with torch.no_grad():
        found, slow = schedule.log_snr(schedule.time(wanted)), schedule.log_snr(bisected(schedule, wanted))
    torch.testing.assert_close(found, slow, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("wanted", [13.0, 4.4, -1.0, -4.999])
def test_a_time_costs_a_fraction_of_bisection(wanted: float) -> None:
    """Of its 54 calls of the network, for weights as they begin; the time is the same but for one rounding."""
    torch.manual_seed(0)
    schedule = LearnedSchedule().build()
    log_snr = torch.tensor(wanted, dtype=torch.float64)
    calls: list[int] = []
    schedule.shape.register_forward_hook(lambda *_: calls.append(1))
    found = schedule.time(log_snr)
    assert len(calls) <= 2 * 14, "each log-SNR asks twice: for the ends, and for the time"
    assert found.item() == pytest.approx(bisected(schedule, log_snr).item(), rel=0, abs=2.3e-16)


def test_it_is_vdms_network() -> None:
    """l₁(t) + l₃(sigmoid(l₂(l₁(t)))) with positive weights (Kingma et al. 2021, appendix H), of torch's own layers."""
    torch.manual_seed(0)
    network = Monotone(5)
    first, second, third = torch.nn.Linear(1, 1), torch.nn.Linear(1, 5), torch.nn.Linear(5, 1, bias=False)
    softplus = torch.nn.functional.softplus
    with torch.no_grad():
        first.weight.copy_(softplus(network.slope).view(1, 1))
        first.bias.copy_(network.offset.view(1))
        second.weight.copy_(softplus(network.slopes_H).view(5, 1))
        second.bias.copy_(network.offsets_H)
        third.weight.copy_(softplus(network.heights_H).view(1, 5) / 5)
        t = torch.linspace(0, 1, 7).view(7, 1)
        line = first(t)
        wanted = line + third(second(line).sigmoid())
    torch.testing.assert_close(network(t.double().view(7)).float(), wanted.view(7), rtol=1e-5, atol=1e-6)


def test_it_begins_at_its_ends_and_nearly_straight() -> None:
    """VDM's −13.3 … 5 of γ; fresh weights bend a line, and no more than the sigmoids together can."""
    schedule = LearnedSchedule(hidden=64).build()
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    start, middle, end = schedule.log_snr(t).tolist()
    assert (start, end) == pytest.approx((13.3, -5.0), rel=1e-6)
    assert middle == pytest.approx((13.3 - 5.0) / 2, abs=1.0)


def test_gradients_are_those_of_finite_differences() -> None:
    """Of alpha and sigma by one weight. A step of 1e-4 errs by its square, and by 1e-16/1e-4 of rounding."""
    torch.manual_seed(3)
    schedule = LearnedSchedule(hidden=4).build().double()
    t = torch.tensor(0.3, dtype=torch.float64)
    for weight in (schedule.log_snr_max, schedule.log_snr_span, schedule.shape.heights_H):
        for function in (schedule.alpha, schedule.sigma):
            (slope,) = torch.autograd.grad(function(t), weight)
            with torch.no_grad():
                before = weight.clone()
                weight.view(-1)[0] += 1e-4
                high = function(t)
                weight.view(-1)[0] -= 2e-4
                low = function(t)
                weight.copy_(before)
            assert float(slope.view(-1)[0]) == pytest.approx(float(high - low) / 2e-4, rel=1e-6, abs=1e-11)


def test_fixed_ends_are_no_parameters() -> None:
    fixed = LearnedSchedule(hidden=4, fixed_ends=True).build()
    names = {name for name, _ in fixed.named_parameters()}
    assert names == {f"shape.{name}" for name in ("slope", "offset", "slopes_H", "offsets_H", "heights_H")}
    assert {"log_snr_max", "log_snr_span"} <= fixed.state_dict().keys()
    assert all(parameter.dim() <= 1 for parameter in fixed.parameters()), "so that no weight decays"


def test_ends_that_rise_are_refused() -> None:
    with pytest.raises(ValidationError, match="log_snr_max -6 must lie above log_snr_min -5"):
        LearnedSchedule(log_snr_max=-6.0)


def test_sampling_needs_no_gradient() -> None:
    """Levels are plain floats of the weights as they stand."""
    schedule = wild(1)
    (level, _) = schedule.levels([0.4])
    assert level.log_snr == pytest.approx(schedule.log_snr(torch.tensor(0.4)).item(), rel=1e-6)
    again = schedule.level(level.log_snr)
    assert (again.t, again.alpha, again.sigma) == pytest.approx((level.t, level.alpha, level.sigma), rel=1e-9)
