"""Laws of the kind `sampler`. Legend: B batch, C channels, H height, W width.

Data that are one picture c have the perfect denoiser x₀ = c, ε = (x_t − alpha·c)/sigma, and with it *every* correct
solver stays on the forward process: a deterministic one keeps x_t = alpha·c + sigma·ε with the ε it began with, a
stochastic one keeps x_t ~ N(alpha·c, sigma²). Short tables make an error of one index large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from diffloom.kinds import Sampler
from diffloom.process import Denoised, Level, Step
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import GaussianData, Posterior, exploding, flowing, normal, preserving

SMALL = (3, 2, 4, 4)
LARGE = (1, 1, 256, 256)
"""65,536 pixels for what is tested by statistics."""
BOUND = 6.0
"""In standard errors. Four statistics at 20 levels of 3 tables: a right sampler fails with probability 4e-7."""


def yields_every_step(component: Sampler) -> None:
    """One Step for each level but the last, from level to level, each beginning where the one before arrived."""
    for count in (1, 2, 3, 20):
        levels = preserving(count)
        x = normal(SMALL, seed=1)
        before = x.clone()
        steps = _walk(component, x, levels, GaussianData(0.2, 0.5))
        expect(torch.equal(x, before), "x to be left as it was", "x changed in place")
        expect(len(steps) == count, f"{count} steps of {count + 1} levels", len(steps))
        position = x
        for i, step in enumerate(steps):
            expect(step.index == i, f"index {i}", step.index)
            expect(step.level == levels[i], f"step {i} to begin at {levels[i]}", step.level)
            expect(step.next_level == levels[i + 1], f"step {i} to end at {levels[i + 1]}", step.next_level)
            expect(
                torch.equal(step.x_t_BCHW, position),
                f"step {i} to begin where the one before ended",
                "elsewhere",
            )
            position = step.following_BCHW


def shows_the_denoised(component: Sampler) -> None:
    """Step.x0 is what the denoiser says of x_t, and the last step arrives at a finite sample."""
    data = GaussianData(0.2, 0.5)
    for step in _walk(component, normal(SMALL, seed=1), preserving(20), data):
        wanted = data(step.x_t_BCHW, step.level).x0_BCHW
        expect_close(step.x0_BCHW, wanted, within=1e-12, what=f"x0 of step {step.index}")
        expect(bool(step.following_BCHW.isfinite().all()), f"a finite step {step.index}", "inf or NaN")


def takes_a_step_at_a_time(component: Sampler) -> None:
    """It is a generator: the caller who stops after one step has not paid for twenty."""
    calls: list[Level] = []

    def denoise(x: Tensor, level: Level) -> Denoised:
        calls.append(level)
        return GaussianData(0.2, 0.5)(x, level)

    levels = preserving(20)
    walk = component.build()(normal(SMALL), levels, denoise, noise=_noise(SMALL), variance=Posterior())
    next(iter(walk))
    expect(len(calls) < 10, "one step's work before the first step is yielded", f"{len(calls)} network calls")


def takes_the_noise_of_its_step(component: Sampler) -> None:
    """Step i takes noise(i) and no other, and the step into the clean level takes none."""
    levels = preserving(12)
    asked: list[tuple[int, int]] = []
    done = 0

    def noise(i: int) -> Tensor:
        asked.append((done, i))
        return normal(SMALL, step=i, seed=7)

    build = component.build()
    for _ in build(normal(SMALL), levels, GaussianData(0.2, 0.5), noise=noise, variance=Posterior()):
        done += 1
    wrong = [pair for pair in asked if pair[0] != pair[1]]
    expect(
        not wrong, "step i to ask for noise(i)", "".join(f"noise({i}) in step {step}; " for step, i in wrong)
    )
    calm = _walk(component, normal(SMALL), levels, GaussianData(0.2, 0.5))
    loud = _walk(
        component,
        normal(SMALL),
        levels,
        GaussianData(0.2, 0.5),
        noise=lambda i: normal(SMALL, step=i, seed=8 if i == 11 else 7),
    )
    expect_close(
        loud[-1].following_BCHW, calm[-1].following_BCHW, within=1e-12, what="the sample, last noise changed"
    )


def stays_on_the_forward_process(component: Sampler) -> None:
    """With one picture as data, x_t = alpha·c + sigma·ε at every level: exactly, or in distribution."""
    _expect_forward(component, preserving(20))


def stays_on_other_forward_processes(component: Sampler) -> None:
    """So it does where variance explodes and on straight flows, unless it refuses these levels by ValueError."""
    for levels in (exploding(20), flowing(20)):
        try:
            _walk(component, normal(SMALL), levels, GaussianData(0.0))
        except ValueError:
            continue
        _expect_forward(component, levels)


def ends_where_the_levels_end(component: Sampler) -> None:
    """One that can end early stays on the forward process where no clean level comes last."""
    if component.ends_early:
        _expect_forward(component, preserving(20)[:-1])


def converges_for_gaussian_data(component: Sampler) -> None:
    """Data N(m, s²) are sampled with mean m and standard deviation s, the better the more steps."""
    data = GaussianData(0.3, 0.5)
    errors = {}
    for count in (20, 80):
        levels = preserving(count)
        start = data.at(levels[0], normal(LARGE, seed=11))
        sample = _walk(component, start, levels, data)[-1].following_BCHW
        errors[count] = max(abs(sample.mean().item() - 0.3), abs(sample.std().item() - 0.5)) / 0.5
    floor = BOUND / math.sqrt(math.prod(LARGE))  # 0.023: what chance alone may do
    expect(errors[80] <= 0.1, "mean and std within 10 % at 80 steps", f"{errors[80]:.3g}")
    better = errors[80] <= max(0.5 * errors[20], floor)
    expect(better, f"half the error of 20 steps, {errors[20]:.3g}, at 80", f"{errors[80]:.3g}")


def rows_are_independent(component: Sampler) -> None:
    """A sample is the same alone as in a batch, to 1e-10."""
    levels, x, data = preserving(8), normal(SMALL, seed=1), GaussianData(0.2, 0.5)
    together = _walk(component, x, levels, data)[-1].following_BCHW
    for row in range(len(x)):
        rows = slice(row, row + 1)

        def noise(i: int, rows: slice = rows) -> Tensor:
            return _noise(SMALL)(i)[rows]

        alone = _walk(component, x[rows], levels, data, noise=noise)[-1].following_BCHW
        expect_close(alone, together[rows], within=1e-10, what=f"sample {row} alone")


def repeats_itself(component: Sampler) -> None:
    """Equal inputs give equal samples, and one walk does not touch the next: all noise comes from noise(i)."""
    walk, levels, data = component.build(), preserving(8), GaussianData(0.2, 0.5)
    samples = [
        list(walk(normal(SMALL), levels, data, noise=_noise(SMALL), variance=Posterior()))[-1].following_BCHW
        for _ in range(2)
    ]
    expect(torch.equal(*samples), "equal samples of two walks", "others")


def keeps_the_dtype(component: Sampler) -> None:
    """float32 in, float32 out, near to float64's: coefficients are computed in float64 and cast once."""
    levels, x = preserving(20), normal(SMALL, seed=1)
    data = GaussianData(0.2, 0.5)
    exact = _walk(component, x, levels, data)[-1].following_BCHW
    for step in _walk(component, x.float(), levels, data, noise=lambda i: _noise(SMALL)(i).float()):
        expect(step.following_BCHW.dtype == torch.float32, "float32, as x is", step.following_BCHW.dtype)
        last = step.following_BCHW
    expect_close(last, exact, within=1e-4, what="the float32 sample")


def _walk(
    component: Sampler,
    x: Tensor,
    levels: Sequence[Level],
    data: GaussianData,
    *,
    noise: Callable[[int], Tensor] | None = None,
) -> list[Step]:
    noise = noise or _noise(tuple(x.shape))
    return list(component.build()(x, levels, data, noise=noise, variance=Posterior()))


def _noise(shape: tuple[int, ...]) -> Callable[[int], Tensor]:
    return lambda i: normal(shape, step=i, seed=7)


def _expect_forward(component: Sampler, levels: tuple[Level, ...]) -> None:
    asked: list[int] = []

    def noise(i: int) -> Tensor:
        asked.append(i)
        return normal(LARGE, step=i, seed=7)

    picture = torch.sin(torch.arange(math.prod(LARGE), dtype=torch.float64)).view(LARGE)
    data, eps = GaussianData(picture), normal(LARGE, seed=3)
    steps = _walk(component, data.at(levels[0], eps), levels, data, noise=noise)
    rest = eps
    for step in steps:
        level = step.next_level
        what = f"after step {step.index} from sigma {step.level.sigma:.3g} to {level.sigma:.3g}, x_t"
        if not asked or level.is_clean:
            wanted = level.alpha * picture + level.sigma * eps
            expect_close(step.following_BCHW, wanted, within=1e-8, what=f"{what} = alpha·c + sigma·eps")
            continue
        before = rest
        rest = (step.following_BCHW - level.alpha * picture) / level.sigma
        count = rest.numel()
        statistics = {
            "mean": rest.mean().item() * math.sqrt(count),
            "variance": (rest.square().mean().item() - 1) * math.sqrt(count / 2),
            "correlation with c": ((rest * picture).sum() / picture.square().sum().sqrt()).item(),
            # What is left of the old noise keeps its sign: no solver's correlation with it is below 0.
            "negative correlation with x_t": min((rest * before).mean().item() * math.sqrt(count), 0.0),
        }
        for name, deviation in statistics.items():
            expected = f"{what} ~ N(alpha·c, sigma²), its {name} within {BOUND:g} standard errors"
            expect(abs(deviation) <= BOUND, expected, f"{deviation:.1f}")


CHECKS: tuple[Check, ...] = (
    yields_every_step,
    shows_the_denoised,
    takes_a_step_at_a_time,
    takes_the_noise_of_its_step,
    stays_on_the_forward_process,
    stays_on_other_forward_processes,
    ends_where_the_levels_end,
    converges_for_gaussian_data,
    rows_are_independent,
    repeats_itself,
    keeps_the_dtype,
)
