"""Laws of the kind `schedule`: what alpha and sigma are. How times and log-SNRs find each other: `schedule_times`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from diffloom.kinds import NoiseSchedule, Schedule
from diffloom.testing import schedule_times
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.modules import expect_state_tells_all
from diffloom.testing.schedule_times import SPACE, spread


def has_its_axis(component: Schedule) -> None:
    """The built schedule's axis is the component's, which is known without torch and without a size."""
    said, axis = component.axis, component.build(space=SPACE).axis
    ends = (axis.first, axis.last, axis.count) == (said.first, said.last, said.count)
    expect(ends, f"the axis {said}, as the component says", axis)
    several = axis.count is None or axis.count > 1
    expect(axis.first < axis.last or not several, "a last time after the first", axis)


def gives_float64_of_the_same_shape(component: Schedule) -> None:
    """alpha, sigma and log_snr take times of any shape and dtype and give float64 of that shape on the CPU."""
    schedule = component.build(space=SPACE)
    axis = schedule.axis
    for t in (
        torch.tensor(axis.last),
        torch.tensor([axis.first, axis.last]),
        torch.full((2, 3), axis.at(0.5)),
    ):
        for name, function in _functions(schedule).items():
            value = function(t)
            expect(value.shape == t.shape, f"{name}(t) of t's shape {tuple(t.shape)}", tuple(value.shape))
            expect(value.dtype == torch.float64, f"{name} in float64", value.dtype)


def keeps_noise_and_signal_within_reason(component: Schedule) -> None:
    """alpha and sigma are finite, alpha is not negative, sigma above 0."""
    schedule = component.build(space=SPACE)
    t = spread(schedule.axis)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    expect(bool((alpha.isfinite() & (alpha >= 0)).all()), "alpha finite and not negative", alpha.min())
    expect(
        bool((sigma.isfinite() & (sigma > 0)).all()), "sigma finite and above 0 at every time", sigma.min()
    )


def loses_signal_all_the_way(component: Schedule) -> None:
    """alpha/sigma falls strictly with t, between whole times too."""
    schedule = component.build(space=SPACE)
    for parts in (1, 4):
        t = spread(schedule.axis, parts=parts)
        falls = (schedule.alpha(t) / schedule.sigma(t)).diff() < 0
        first = t[int((~falls).nonzero()[0])].item() if not bool(falls.all()) else 0.0
        expect(bool(falls.all()), "alpha/sigma to fall with time", f"that it does not after t = {first:g}")


def says_whether_signal_is_left(component: Schedule) -> None:
    """alpha is 0 at the last time if the component's `zero_snr` says so, and only then."""
    schedule = component.build(space=SPACE)
    alpha = schedule.alpha(torch.tensor(schedule.axis.last, dtype=torch.float64)).item()
    expect(
        (alpha == 0) == component.zero_snr,
        f"zero_snr to be {alpha == 0} where alpha ends at {alpha:g}",
        component,
    )


def has_the_log_snr_of_its_alpha_and_sigma(component: Schedule) -> None:
    """log_snr is log(alpha²/sigma²), to 1e-6 where the logarithm is large, and −∞ where alpha is 0."""
    schedule = component.build(space=SPACE)
    t = spread(schedule.axis, parts=4)
    alpha, sigma, log_snr = schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t)
    pure = alpha == 0
    expect(bool((log_snr[pure] == -torch.inf).all()), "log-SNR −∞ where alpha is 0", log_snr[pure])
    wanted = 2 * (alpha[~pure].log() - sigma[~pure].log())
    expect_close(log_snr[~pure], wanted, within=1e-9, what="log(alpha²/sigma²)")


def fits_its_prior(component: Schedule) -> None:
    """x_t of data with variance at most 1 has the variance prior_std²: sigma² ≤ prior_std² ≤ sigma² + alpha²."""
    schedule = component.build(space=SPACE)
    for share in (1.0, 0.8, 0.5):
        (level, _) = schedule.levels([schedule.axis.at(share)])
        low = level.sigma**2
        high = low + level.alpha**2
        came = schedule.prior_std(level) ** 2
        what = f"prior_std² from {low:.9g} to {high:.9g} at t = {level.t:g}"
        expect(low * (1 - 1e-9) <= came <= high * (1 + 1e-9), what, came)


def preserves_variance_between_times_too(component: Schedule) -> None:
    """A schedule with alpha² + sigma² = 1 at whole times has it at fractional ones, to 1e-12."""
    schedule = component.build(space=SPACE)
    t = spread(schedule.axis)
    if (_power(schedule, t) - 1).abs().max() < 1e-9:
        power = _power(schedule, spread(schedule.axis, parts=3))
        expect_close(power, torch.ones_like(power), within=1e-12, what="alpha² + sigma² = 1")


def builds_alike_twice(component: Schedule) -> None:
    """Two builds are equal; of one with weights, under one torch seed."""
    tables = []
    for _ in range(2):
        if isinstance(component.build(space=SPACE), nn.Module):
            torch.manual_seed(1)
        tables.append(component.build(space=SPACE).log_snr(spread(component.axis)))
    expect(torch.equal(*tables), "equal log-SNRs of two builds", "others")


def learns_with_the_model(component: Schedule) -> None:
    """One that is a module has weights that alpha and sigma carry gradients to, and its state_dict tells all."""
    schedule = component.build(space=SPACE)
    if not isinstance(schedule, nn.Module):
        return
    t = spread(component.axis)[1:-1]
    (schedule.alpha(t) * schedule.sigma(t)).sum().backward()  # type: ignore[no-untyped-call]
    reached = [
        p.grad is not None and bool(p.grad.abs().sum() > 0) for p in schedule.parameters() if p.requires_grad
    ]
    expect(any(reached) and all(reached), "a gradient for every weight", f"{sum(reached)} of {len(reached)}")

    def build() -> nn.Module:
        module = component.build(space=SPACE)
        assert isinstance(module, nn.Module)
        return module

    expect_state_tells_all(build, lambda module: module.log_snr(t))  # type: ignore[operator]


def _functions(schedule: NoiseSchedule) -> dict[str, Callable[[Tensor], Tensor]]:
    return {"alpha": schedule.alpha, "sigma": schedule.sigma, "log_snr": schedule.log_snr}


def _power(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    return schedule.alpha(t).square() + schedule.sigma(t).square()


CHECKS: tuple[Check, ...] = (
    has_its_axis,
    gives_float64_of_the_same_shape,
    keeps_noise_and_signal_within_reason,
    loses_signal_all_the_way,
    says_whether_signal_is_left,
    has_the_log_snr_of_its_alpha_and_sigma,
    fits_its_prior,
    preserves_variance_between_times_too,
    builds_alike_twice,
    learns_with_the_model,
    *schedule_times.CHECKS,
)
