"""Laws of the kind `schedule`."""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.kinds import Schedule
from diffloom.process import CLEAN
from diffloom.testing.checks import Check, expect, expect_close


def has_its_axis(component: Schedule) -> None:
    """The built schedule's axis is the component's, which is known without torch."""
    axis = component.build().axis
    expect(axis == component.axis, f"the axis {component.axis}, as the component says", axis)


def gives_float64_of_the_same_shape(component: Schedule) -> None:
    """alpha and sigma take times of any shape and dtype and give float64 of that shape, finite, sigma above 0."""
    schedule = component.build()
    last = float(schedule.steps - 1)
    for t in (torch.tensor(last), torch.tensor([0.0, last]), torch.zeros(2, 3), torch.arange(schedule.steps)):
        for name, value in (("alpha", schedule.alpha(t)), ("sigma", schedule.sigma(t))):
            expect(value.shape == t.shape, f"{name}(t) of t's shape {tuple(t.shape)}", tuple(value.shape))
            expect(value.dtype == torch.float64, f"{name} in float64", value.dtype)
            expect(
                bool(value.isfinite().all() and (value >= 0).all()), f"{name} finite and not negative", value
            )
    expect(
        bool((schedule.sigma(torch.arange(schedule.steps)) > 0).all()), "sigma above 0 at every time", "a 0"
    )


def loses_signal_all_the_way(component: Schedule) -> None:
    """alpha/sigma falls strictly with t, between whole times too."""
    schedule = component.build()
    whole = torch.arange(schedule.steps, dtype=torch.float64)
    quarters = (torch.arange((schedule.steps - 1) * 4 + 1, dtype=torch.float64)) / 4
    for what, t in (("whole times", whole), ("quarter times", quarters)):
        falls = (schedule.alpha(t) / schedule.sigma(t)).diff() < 0
        first = t[int((~falls).nonzero()[0])].item() if not bool(falls.all()) else 0.0
        expect(bool(falls.all()), f"alpha/sigma to fall at {what}", f"that it does not after t = {first:g}")


def fits_its_prior(component: Schedule) -> None:
    """x_T of data with variance at most 1 has the variance prior_std²: sigma_T² ≤ prior_std² ≤ sigma_T² + alpha_T²."""
    schedule = component.build()
    t = torch.tensor(float(schedule.steps - 1))
    low = schedule.sigma(t).item() ** 2
    high = low + schedule.alpha(t).item() ** 2
    came = schedule.prior_std**2
    expect(low * (1 - 1e-9) <= came <= high * (1 + 1e-9), f"prior_std² from {low:.9g} to {high:.9g}", came)


def preserves_variance_between_times_too(component: Schedule) -> None:
    """A schedule with alpha² + sigma² = 1 at whole times has it at fractional ones, to 1e-12."""
    schedule = component.build()
    whole = torch.arange(schedule.steps, dtype=torch.float64)
    if (_power(schedule.alpha(whole), schedule.sigma(whole)) - 1).abs().max() < 1e-9:
        t = torch.linspace(0, schedule.steps - 1, 3 * schedule.steps, dtype=torch.float64)
        power = _power(schedule.alpha(t), schedule.sigma(t))
        expect_close(power, torch.ones_like(power), within=1e-12, what="alpha² + sigma² = 1")


def gives_levels_of_its_times(component: Schedule) -> None:
    """levels(times) has alpha and sigma at each time, then the clean level."""
    schedule = component.build()
    last = schedule.steps - 1
    times = tuple(dict.fromkeys((float(last), last * 0.75, last / 3, 0.0)))
    levels = schedule.levels(times)
    expect(len(levels) == len(times) + 1, f"{len(times) + 1} levels of {len(times)} times", len(levels))
    expect(levels[-1] == CLEAN, "the last level to be CLEAN", levels[-1])
    for time, level in zip(times, levels[:-1], strict=True):
        t = torch.tensor(time, dtype=torch.float64)
        wanted = (time, schedule.alpha(t).item(), schedule.sigma(t).item())
        came = (level.t, level.alpha, level.sigma)
        near = max(abs(a - b) for a, b in zip(came, wanted, strict=True)) <= 1e-12 * max(1.0, *wanted)
        expect(near, f"the level (t, alpha, sigma) = {wanted}", came)


def builds_alike_twice(component: Schedule) -> None:
    """Two builds have equal tables."""
    first, second = component.build(), component.build()
    t = torch.arange(first.steps)
    same = torch.equal(first.alpha(t), second.alpha(t)) and torch.equal(first.sigma(t), second.sigma(t))
    expect(same, "equal tables of two builds", "others")


def _power(alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha.square() + sigma.square()


CHECKS: tuple[Check, ...] = (
    has_its_axis,
    gives_float64_of_the_same_shape,
    loses_signal_all_the_way,
    fits_its_prior,
    preserves_variance_between_times_too,
    gives_levels_of_its_times,
    builds_alike_twice,
)
