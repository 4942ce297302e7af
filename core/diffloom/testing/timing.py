"""Laws of the kind `timing`. Legend: B batch, u the share of the way along a schedule's axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffloom.kinds import NoiseSchedule, Times, Timing
from diffloom.process import CosineSchedule, Draws, FlowSchedule, VPSchedule, share_of
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import Quarter

SCHEDULES: tuple[NoiseSchedule, ...] = (
    Quarter(),
    CosineSchedule(steps=7).build(),
    VPSchedule().build(),
    FlowSchedule(shift=3.0).build(),
)
ROWS, MANY = 40, 3000


def gives_times_of_training(component: Timing) -> None:
    """A time and a factor for each row, float64 on the CPU: times of the axis, one of those that it counts."""
    for schedule in SCHEDULES:
        axis = schedule.axis
        t_B, factor_B = component.build()(_draws(), schedule=schedule)
        for what, value in (("times", t_B), ("factors", factor_B)):
            expect(value.shape == (ROWS,), f"{ROWS} {what}", tuple(value.shape))
            expect(value.dtype == torch.float64, f"{what} in float64", value.dtype)
            expect(value.device.type == "cpu", f"{what} on the CPU", value.device)
        inside = bool(((t_B >= axis.first) & (t_B <= axis.last)).all())
        expect(inside, f"times from {axis.first:g} to {axis.last:g}", t_B.tolist())
        expect(
            bool((factor_B.isfinite() & (factor_B > 0)).all()), "finite factors above 0", factor_B.tolist()
        )
        if axis.count is not None:
            number_B = (t_B - axis.first) / axis.stride
            expect(torch.equal(number_B, number_B.round()), "times that the schedule counts", t_B.tolist())


def depends_on_its_example_alone(component: Timing) -> None:
    """A row's time and factor are the same however the batch is split and ordered, and when asked again."""
    for schedule in SCHEDULES:
        times, draws = component.build(), _draws()
        together = times(draws, schedule=schedule)
        for rows in (range(ROWS), range(3, 4), range(ROWS - 1, 20, -1)):
            part = times(Draws(tuple(draws.keys[row] for row in rows), draws.step), schedule=schedule)
            for what, came, whole in zip(("time", "factor"), part, together, strict=True):
                expect_close(came, whole[list(rows)], within=1e-12, what=f"each {what} of {len(rows)} rows")


def draws_anew(component: Timing) -> None:
    """Other examples, seeds and steps get other times."""
    for schedule in SCHEDULES:
        times = component.build()
        first, _ = times(_draws(), schedule=schedule)
        expect(len(set(first.tolist())) > 2, "times that differ", first.tolist())
        for what, draws in (
            ("another seed", Draws.of(18, range(ROWS))),
            ("the next batch", Draws.of(17, range(ROWS, 2 * ROWS))),
            ("another step", _draws().at(1)),
        ):
            other, _ = times(draws, schedule=schedule)
            expect(not torch.equal(first, other), f"other times for {what}", other.tolist())


def is_unbiased_where_it_says_so(component: Timing) -> None:
    """factor·f(t) has the mean of f over the schedule's times, within 5 standard errors; or the factor is 1."""
    for schedule in SCHEDULES:
        _expect_unbiased(component, component.build(), schedule)


def learns_of_losses_without_bias(component: Timing) -> None:
    """One that observes losses draws costly times more often, its factors make up for it, and its state tells all."""
    for schedule in SCHEDULES:
        times = component.build()
        observe = getattr(times, "observe", None)
        if observe is None:
            return
        for step in range(8):
            t_B, _ = times(Draws.of(17, range(ROWS * 5), step + 2), schedule=schedule)
            observe(t_B, _share(schedule, t_B) ** 2 + 0.01, schedule=schedule)
        t_B, _ = times(Draws.of(19, range(MANY)), schedule=schedule)
        mean = _share(schedule, t_B).mean().item()
        expect(mean > 0.55, "costly times more often: a mean share above 0.55", mean)
        _expect_unbiased(component, times, schedule)
        again = component.build()
        expect(isinstance(times, nn.Module), "a torch.nn.Module, to be saved", type(times).__name__)
        assert isinstance(times, nn.Module)
        assert isinstance(again, nn.Module)
        again.load_state_dict(times.state_dict())
        came, _ = again(_draws(), schedule=schedule)
        expect_close(came, times(_draws(), schedule=schedule)[0], within=0, what="times of a restored state")


def _expect_unbiased(component: Timing, times: Times, schedule: NoiseSchedule) -> None:
    t_B, factor_B = times(Draws.of(19, range(MANY)), schedule=schedule)
    if not component.unbiased:
        expect(bool((factor_B == 1).all()), "factors of 1", factor_B[factor_B != 1][:5].tolist())
        return
    axis = schedule.axis
    count = axis.count or 2000
    u_N = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    u_B = _share(schedule, t_B)
    for power in (0, 1, 2, 8):
        values_B, wanted = factor_B * u_B**power, (u_N**power).mean().item()
        off, error = abs(values_B.mean().item() - wanted), values_B.std().item() / MANY**0.5
        expect(
            off <= 5 * error + 1e-6,
            f"factor·u^{power} of mean {wanted:.4g} within {5 * error:.2g}",
            values_B.mean().item(),
        )


def _share(schedule: NoiseSchedule, t_B: Tensor) -> Tensor:
    """The share of each time, that of the middle of its part where times are counted."""
    axis = schedule.axis
    if axis.count is None:
        return share_of(axis, t_B)
    return ((t_B - axis.first) / axis.stride + 0.5) / axis.count


def _draws() -> Draws:
    return Draws.of(17, range(ROWS))


CHECKS: tuple[Check, ...] = (
    gives_times_of_training,
    depends_on_its_example_alone,
    draws_anew,
    is_unbiased_where_it_says_so,
    learns_of_losses_without_bias,
)
