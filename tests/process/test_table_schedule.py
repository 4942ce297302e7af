"""The table: exact at whole times, log-SNR lines between them, errors everywhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffloom.process import CLEAN, CosineSchedule, LinearSchedule, ScaledLinearSchedule, TableSchedule

SCHEDULES = {
    "linear": LinearSchedule().build(),
    "scaled_linear": ScaledLinearSchedule().build(),
    "cosine": CosineSchedule().build(),
    "short": LinearSchedule(steps=3).build(),
}
by_name = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


@by_name
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float64])
def test_whole_times_are_the_table_itself(schedule: TableSchedule, dtype: torch.dtype) -> None:
    times = torch.arange(schedule.steps, dtype=dtype)
    bar = schedule.alpha_bar
    assert torch.equal(schedule.alpha(times), bar.sqrt())
    assert torch.equal(schedule.sigma(times), (1 - bar).sqrt())
    assert schedule.alpha(times).dtype == schedule.sigma(times).dtype == torch.float64


@by_name
def test_minus_one_is_clean(schedule: TableSchedule) -> None:
    t = torch.tensor([-1])
    assert (schedule.alpha(t), schedule.sigma(t)) == (1.0, 0.0)
    assert schedule.log_snr(t) == math.inf


@by_name
def test_log_snr_falls_strictly(schedule: TableSchedule) -> None:
    times = torch.linspace(0, schedule.steps - 1, 20_001, dtype=torch.float64)
    assert bool((schedule.log_snr(times).diff() < 0).all())


@given(name=st.sampled_from(sorted(SCHEDULES)), u=st.floats(0, 1))
def test_between_whole_times_the_log_snr_is_a_line(name: str, u: float) -> None:
    """numpy's interpolation of the table's log-SNR is the oracle; alpha and sigma belong to it."""
    schedule = SCHEDULES[name]
    t = torch.tensor(u * (schedule.steps - 1), dtype=torch.float64)
    bar = schedule.alpha_bar.numpy()
    expected = float(np.interp(float(t), np.arange(schedule.steps), np.log(bar / (1 - bar))))
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    assert float(schedule.log_snr(t)) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert 2 * math.log(alpha / sigma) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert alpha**2 + sigma**2 == pytest.approx(1, rel=1e-15)


@given(name=st.sampled_from(sorted(SCHEDULES)), t=st.integers(0, 999), side=st.sampled_from([-1, 1]))
def test_no_jump_at_whole_times(name: str, t: int, side: int) -> None:
    """1e-9 of a time away, alpha and sigma differ by 1e-9 times their log's slope, which is below 20 everywhere."""
    schedule = SCHEDULES[name]
    t = min(t, schedule.steps - 2)
    near = min(max(t + side * 1e-9, 0.0), schedule.steps - 1.0)
    for function in (schedule.alpha, schedule.sigma):
        here, there = function(torch.tensor([t, near], dtype=torch.float64)).tolist()
        assert there == pytest.approx(here, rel=2e-8)


@by_name
@pytest.mark.parametrize("t", [-2.0, -1.5, -0.5, -1e-9, math.nan, math.inf, "steps", "last and a bit"])
def test_times_outside_are_refused(schedule: TableSchedule, t: float | str) -> None:
    outside = {"steps": schedule.steps, "last and a bit": schedule.steps - 0.999}
    value = float(outside.get(t, t))  # type: ignore[arg-type]
    for function in (schedule.alpha, schedule.sigma, schedule.log_snr):
        with pytest.raises(ValueError, match=rf"times run from 0 to {schedule.steps - 1}, .*-1 is clean"):
            function(torch.tensor([0.0, value]))


@by_name
def test_shape_is_kept(schedule: TableSchedule) -> None:
    times = torch.tensor([[0.0, 0.5, 1.0], [-1.0, 1.5, 2.0]])
    for function in (schedule.alpha, schedule.sigma, schedule.log_snr):
        assert function(times).shape == (2, 3)
        assert float(function(torch.tensor(1.5))) == float(function(times)[1, 1])


@by_name
def test_levels_are_the_functions_and_end_clean(schedule: TableSchedule) -> None:
    times = (2.0, 1.25, 0.0)
    *noisy, last = schedule.levels(times)
    assert last is CLEAN
    assert last.is_clean
    assert (last.t, last.alpha, last.sigma) == (-1.0, 1.0, 0.0)
    t = torch.tensor(times, dtype=torch.float64)
    assert [level.t for level in noisy] == list(times)
    assert [level.alpha for level in noisy] == schedule.alpha(t).tolist()
    assert [level.sigma for level in noisy] == schedule.sigma(t).tolist()
    assert not any(level.is_clean for level in noisy)


def test_levels_refuse_the_clean_time() -> None:
    with pytest.raises(ValueError, match="leave −1 out"):
        SCHEDULES["linear"].levels([10, -1])


@pytest.mark.parametrize(
    "table", [[], [[0.9, 0.5]], [0.9, 0.9], [0.5, 0.6], [1.0, 0.5], [0.5, -0.1], [0.5, math.nan], 0.5]
)
def test_a_table_that_is_no_schedule_is_refused(table: list[float]) -> None:
    with pytest.raises(ValueError, match="ᾱ"):
        TableSchedule(table)


def test_a_table_from_anything_stays_its_own() -> None:
    """Lists, arrays and tensors give the same schedule, and changing the source later changes nothing."""
    values = [0.9, 0.5, 0.0]  # zero terminal signal-to-noise ratio included
    array, tensor = np.array(values), torch.tensor(values, dtype=torch.float64)
    schedules = [TableSchedule(values), TableSchedule(array), TableSchedule(tensor)]
    array[:] = tensor[:] = 0
    schedules[0].alpha_bar[:] = 0
    for schedule in schedules:
        assert schedule.alpha_bar.tolist() == values
        assert schedule.alpha(torch.tensor([2])) == 0.0
        assert schedule.sigma(torch.tensor([2])) == 1.0


def test_from_betas_is_the_running_product() -> None:
    table = TableSchedule.from_betas([0.1, 0.2, 0.5]).alpha_bar
    torch.testing.assert_close(
        table, torch.tensor([0.9, 0.72, 0.36], dtype=torch.float64), rtol=1e-15, atol=0
    )


def test_towards_no_signal_alpha_is_a_line() -> None:
    """The log-SNR has none to −∞: between the last two times alpha falls evenly, and time() is the inverse."""
    schedule = TableSchedule([0.9, 0.5, 0.0])
    t = torch.tensor([1.0, 1.25, 1.5, 1.999, 2.0], dtype=torch.float64)
    torch.testing.assert_close(schedule.alpha(t), math.sqrt(0.5) * (2 - t), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones_like(t), rtol=1e-15, atol=0
    )
    assert schedule.log_snr(t)[-1] == -math.inf
    torch.testing.assert_close(schedule.time(schedule.log_snr(t)), t, rtol=1e-12, atol=0)
    assert TableSchedule([0.0]).time(torch.tensor([-math.inf, 0.0, 9.0])).tolist() == [0.0, 0.0, 0.0]


@given(name=st.sampled_from(sorted(SCHEDULES)), u=st.floats(0, 1))
def test_the_time_of_a_log_snr_is_its_inverse(name: str, u: float) -> None:
    """log-SNRs have rounding errors of 1e-15; the flattest table has slopes of 1e-3 a step."""
    schedule = SCHEDULES[name]
    t = torch.tensor(u * (schedule.steps - 1), dtype=torch.float64)
    assert float(schedule.time(schedule.log_snr(t))) == pytest.approx(float(t), abs=1e-9)
    level = schedule.level(float(schedule.log_snr(t)))
    assert (level.alpha, level.sigma) == pytest.approx(
        (float(schedule.alpha(t)), float(schedule.sigma(t))), rel=1e-9
    )


@by_name
def test_beyond_the_table_levels_go_on_and_times_stop(schedule: TableSchedule) -> None:
    for time, by in ((0.0, 4.0), (schedule.steps - 1.0, -4.0)):
        end = schedule.levels([time])[0].log_snr
        level = schedule.level(end + by)
        assert level.t == time
        assert level.log_snr == pytest.approx(end + by, rel=1e-9)
        assert level.alpha**2 + level.sigma**2 == pytest.approx(1, rel=1e-15)


def test_prior_is_standard_normal() -> None:
    schedule = SCHEDULES["linear"]
    assert (
        schedule.prior_std(schedule.levels([999])[0]) == schedule.prior_std(schedule.levels([300])[0]) == 1.0
    )
