"""Laws of the kind `variance`. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffloom.kinds import Variance
from diffloom.process import Denoised, Level
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import normal, preserving, stride_beta

SHAPE = (2, 3, 4, 4)


def is_positive_and_fits(component: Variance) -> None:
    """The standard deviation is finite, above 0 between two noisy levels, and broadcasts against x_BCHW."""
    variance = component.build()
    for current, following in _steps():
        std = _std(variance.std(current, following, _denoised()))
        fits = (std + torch.zeros(SHAPE)).shape == SHAPE
        expect(fits, f"a float, or a tensor that broadcasts to {SHAPE}", tuple(std.shape))
        good = bool((std.isfinite() & (std > 0)).all())
        expect(good, f"a finite std above 0 from sigma {current.sigma:.3g} to {following.sigma:.3g}", std)


def ends_without_noise(component: Variance) -> None:
    """The step into the clean level adds nothing."""
    variance = component.build()
    levels = preserving(20)
    for current in levels[:-1]:
        std = _std(variance.std(current, levels[-1], _denoised()))
        expect(not bool(std.any()), "std 0 into the clean level", std)


def lies_between_small_and_large(component: Variance) -> None:
    """A variance that is not learned lies from β̃ to β of the stride, the entropy's bounds (Ho et al. 2020, 3.2)."""
    if not component.learned:
        variance = component.build()
        for current, following in _steps():
            large = math.sqrt(stride_beta(current, following))
            small = large * following.sigma / current.sigma
            std = _std(variance.std(current, following, _denoised()))
            inside = small * (1 - 1e-9) <= float(std.min()) and float(std.max()) <= large * (1 + 1e-9)
            expect(inside, f"a std from {small:.9g} to {large:.9g}", std)


def reads_what_is_learned(component: Variance) -> None:
    """A learned variance depends on the network's output, row by row; another does not need it."""
    variance = component.build()
    current, following = _steps()[0]
    std = _std(variance.std(current, following, _denoised()))
    other = _std(variance.std(current, following, _denoised(seed=5)))
    if component.learned:
        expect(not torch.equal(std, other), "another std for another network output", "the same")
    else:
        bare = Denoised(x0_BCHW=normal(SHAPE), eps_BCHW=normal(SHAPE, seed=1))
        variance.std(current, following, bare)


def tells_its_logarithm(component: Variance) -> None:
    """log_variance is log std² between noisy levels, and finite into the clean one: `least`'s, if it is not learned."""
    variance = component.build()
    for current, following in _steps():
        std = _std(variance.std(current, following, _denoised()))
        told = _std(variance.log_variance(current, following, _denoised(), least=1e-3))
        what = f"log_variance, for log std² from sigma {current.sigma:.3g} to {following.sigma:.3g},"
        expect_close(told + torch.zeros(SHAPE), 2 * std.log() + torch.zeros(SHAPE), within=1e-9, what=what)
    *_, first, clean = preserving(20)
    last = _std(variance.log_variance(first, clean, _denoised(), least=1e-3))
    expect(bool(last.isfinite().all()), "a finite log_variance into the clean level", last)
    if not component.learned:
        expect_close(
            last, torch.full_like(last, math.log(1e-3)), within=1e-9, what="log `least` into the clean level"
        )


def trains_what_is_learned(component: Variance) -> None:
    """A learned variance's logarithm carries a gradient to the network's output, into the clean level too."""
    if component.learned:
        *_, second, first, clean = preserving(20)
        for current, following in ((second, first), (first, clean)):
            raw = _denoised().variance_BCHW
            assert raw is not None
            raw.requires_grad_()
            denoised = Denoised(x0_BCHW=raw.detach(), eps_BCHW=raw.detach(), variance_BCHW=raw)
            told = component.build().log_variance(current, following, denoised, least=1e-3)
            expect(isinstance(told, Tensor) and told.requires_grad, "a gradient to the output", "none")
            torch.as_tensor(told).sum().backward()  # type: ignore[no-untyped-call]
            expect(raw.grad is not None and bool(raw.grad.all()), "one for every element", raw.grad)


def _steps() -> list[tuple[Level, Level]]:
    """Neighbours and strides between noisy levels."""
    levels = preserving(20)[:-1]
    return [(levels[i], levels[i + stride]) for stride in (1, 7) for i in range(len(levels) - stride)]


def _std(value: Tensor | float) -> Tensor:
    """As a float64 tensor: a float32 one would round a float away from its bounds."""
    return torch.as_tensor(value, dtype=torch.float64)


def _denoised(seed: int = 2) -> Denoised:
    raw: Tensor = normal(SHAPE, seed=seed).tanh()
    return Denoised(x0_BCHW=normal(SHAPE), eps_BCHW=normal(SHAPE, seed=1), variance_BCHW=raw)


CHECKS: tuple[Check, ...] = (
    is_positive_and_fits,
    ends_without_noise,
    lies_between_small_and_large,
    reads_what_is_learned,
    tells_its_logarithm,
    trains_what_is_learned,
)
