"""Laws of the kind `schedule`: levels of times, times of log-SNRs, levels of log-SNRs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffloom.kinds import Schedule, SpaceInfo, TimeAxis
from diffloom.process import CLEAN
from diffloom.testing.checks import Check, expect, expect_close

SPACE = SpaceInfo(channels=4, height=24, width=32)
"""What is diffused, for schedules that depend on its size."""
SHARES = (1.0, 0.75, 0.31, 0.0)


def gives_levels_of_its_times(component: Schedule) -> None:
    """levels(times) has alpha and sigma at each time, then the clean level."""
    schedule = component.build(space=SPACE)
    times = tuple(dict.fromkeys(schedule.axis.at(share) for share in SHARES))
    levels = schedule.levels(times)
    expect(len(levels) == len(times) + 1, f"{len(times) + 1} levels of {len(times)} times", len(levels))
    expect(levels[-1] == CLEAN, "the last level to be CLEAN", levels[-1])
    for time, level in zip(times, levels[:-1], strict=True):
        t = torch.tensor(time, dtype=torch.float64)
        wanted = (time, schedule.alpha(t).item(), schedule.sigma(t).item())
        came = (level.t, level.alpha, level.sigma)
        near = max(abs(a - b) for a, b in zip(came, wanted, strict=True)) <= 1e-12 * max(1.0, *wanted)
        expect(near, f"the level (t, alpha, sigma) = {wanted}", came)


def finds_the_time_of_a_log_snr(component: Schedule) -> None:
    """time(log_snr(t)) is t to 1e-6 of the axis, at whole times and between; beyond the axis it is the nearest end."""
    schedule = component.build(space=SPACE)
    axis = schedule.axis
    t = spread(axis, parts=3)
    found = schedule.time(schedule.log_snr(t))
    expect(found.dtype == torch.float64 and found.shape == t.shape, "times in float64, one each", found.dtype)
    span = max(axis.last - axis.first, 1.0)
    expect_close(found / span, t / span, within=1e-6, what="time(log_snr(t)) = t, as a share of the axis")
    ends = torch.tensor([axis.first, axis.last], dtype=torch.float64)
    clean, noisy = schedule.log_snr(ends).tolist()
    beyond = torch.tensor([clean + 3.0, noisy - 3.0], dtype=torch.float64)
    expect_close(
        schedule.time(beyond) / span, ends / span, within=1e-9, what="the nearest end beyond the axis"
    )


def makes_levels_of_log_snrs(component: Schedule) -> None:
    """level(log_snr(t)) is the level at t, to 1e-6; beyond the axis it has that log-SNR and the nearest time."""
    schedule = component.build(space=SPACE)
    axis = schedule.axis
    for share in (0.9, 0.5, 0.13):
        (wanted, _) = schedule.levels([axis.at(share)])
        came = schedule.level(wanted.log_snr)
        pairs = ((came.alpha, wanted.alpha), (came.sigma, wanted.sigma))
        near = all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs)
        near = near and abs(came.t - wanted.t) <= 1e-6 * max(axis.last - axis.first, 1.0)
        expect(near, f"the level {wanted} of its log-SNR {wanted.log_snr:.6g}", came)
    for time, by in ((axis.first, 2.0), (axis.last, -2.0)):
        (end, _) = schedule.levels([time])
        if math.isfinite(end.log_snr):
            came = schedule.level(end.log_snr + by)
            expect_close(
                torch.tensor(came.log_snr),
                torch.tensor(end.log_snr + by),
                within=1e-6,
                what=f"the log-SNR of a level beyond t = {time:g}",
            )
            expect(abs(came.t - time) <= 1e-9 * max(abs(time), 1.0), f"the nearest time, {time:g}", came.t)


def spread(axis: TimeAxis, *, parts: int = 1) -> Tensor:
    """Times over the whole axis: those of training and what lies between at parts, or 100 · parts where uncounted."""
    pieces = parts * (100 if axis.count is None else axis.count - 1)
    shares = torch.arange(pieces + 1, dtype=torch.float64) / max(pieces, 1)
    times = axis.at(shares)
    return times.round() if parts == 1 and axis == TimeAxis.table(axis.count or 1) else times


CHECKS: tuple[Check, ...] = (
    gives_levels_of_its_times,
    finds_the_time_of_a_log_snr,
    makes_levels_of_log_snrs,
)
