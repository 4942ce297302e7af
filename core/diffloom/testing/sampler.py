"""Laws of the kind `sampler`: how a walk behaves. What it computes is `diffloom.testing.sampler_exactness`.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.kinds import Sampler
from diffloom.process import Denoised, Level, Step, WalkNoise
from diffloom.testing import sampler_exactness
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import GaussianData, normal, preserving
from diffloom.testing.course import course_of, keyed_noise, walked

SMALL = (3, 2, 4, 4)
DATA = GaussianData(0.2, 0.5)


class Overheard:
    """The noise of a walk, and what was asked of it during which step."""

    def __init__(self, noise: WalkNoise) -> None:
        self._noise = noise
        self.step = 0
        """The step that is under way, kept by the caller."""
        self.indices: list[tuple[int, int]] = []
        """(step under way, step whose noise was asked for)."""
        self.stretches: list[tuple[int, Level, Level]] = []
        """(step under way, from where, to where), of what was asked of the path."""

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        """The noise of a step."""
        self.indices.append((self.step, index))
        return self._noise(index, draw)

    def between(self, current: Level, following: Level) -> Tensor:
        """The path's increment."""
        self.stretches.append((self.step, current, following))
        return self._noise.between(current, following)


def yields_its_steps(component: Sampler) -> None:
    """A chain of steps from the first level to the last: one for each but the last, unless it has `own_steps`."""
    for count in (1, 2, 3, 20):
        levels = preserving(count)
        x = normal(SMALL, seed=1)
        before = x.clone()
        steps = walked(component.build(), x, levels, DATA)
        expect(torch.equal(x, before), "x to be left as it was", "x changed in place")
        if not component.own_steps:
            expect(len(steps) == count, f"{count} steps of {count + 1} levels", len(steps))
        expect(len(steps) > 0, "a step", "none")
        _expect_chain(steps, x, levels, own_steps=component.own_steps)


def _expect_chain(steps: list[Step], x: Tensor, levels: tuple[Level, ...], *, own_steps: bool) -> None:
    level, position = levels[0], x
    for i, step in enumerate(steps):
        expect(step.index == i, f"index {i}", step.index)
        expect(step.level == level, f"step {i} to begin at {level}", step.level)
        if not own_steps:
            expect(step.next_level == levels[i + 1], f"step {i} to end at {levels[i + 1]}", step.next_level)
        begins = torch.equal(step.x_t_BCHW, position)
        expect(begins, f"step {i} to begin where the one before ended", "elsewhere")
        level, position = step.next_level, step.following_BCHW
    expect(level == levels[-1], f"the last step to end at {levels[-1]}", level)


def shows_the_denoised(component: Sampler) -> None:
    """Step.x0 is what the denoiser said of x_t at its level, or, with fresh noise, at a noisier one; all is finite."""
    said: list[tuple[Level, Tensor]] = []

    def denoise(x: Tensor, level: Level) -> Denoised:
        said.append((level, DATA(x, level).x0_BCHW))
        return DATA(x, level)

    for step in walked(component.build(), normal(SMALL, seed=1), preserving(20), denoise):
        expect(bool(step.following_BCHW.isfinite().all()), f"a finite step {step.index}", "inf or NaN")
        if component.stochastic:
            above = [x0 for level, x0 in said if level.log_snr <= step.level.log_snr]
            heard = any(torch.equal(step.x0_BCHW, x0) for x0 in above)
            expect(
                heard, f"x0 of step {step.index} from the denoiser at its level", "what it never said there"
            )
        else:
            wanted = DATA(step.x_t_BCHW, step.level).x0_BCHW
            expect_close(step.x0_BCHW, wanted, within=1e-12, what=f"x0 of step {step.index}")


def takes_a_step_at_a_time(component: Sampler) -> None:
    """It is a generator: the caller who stops after one step has not paid for twenty."""
    calls = [0]

    def denoise(x: Tensor, level: Level) -> Denoised:
        calls[-1] += 1
        return DATA(x, level)

    course = course_of(normal(SMALL), preserving(20), denoise)
    for _ in component.build()(normal(SMALL), course):
        calls.append(0)
    early = calls[0] <= max(1, sum(calls) // 2) or len(calls) == 2
    expect(early, "one step's work before the first step is yielded", f"{calls[0]} of {sum(calls)} calls")


def calls_the_network_as_often_as_it_says(component: Sampler) -> None:
    """`calls(steps)` network calls, wherever it knows them."""
    for count in (1, 2, 3, 4, 7, 20):
        calls: list[Level] = []

        def denoise(x: Tensor, level: Level, calls: list[Level] = calls) -> Denoised:
            calls.append(level)
            return DATA(x, level)

        walked(component.build(), normal(SMALL), preserving(count), denoise)
        said = component.calls(count)
        expect(said is None or said == len(calls), f"{said} network calls in {count} steps", len(calls))


def draws_noise_as_it_says(component: Sampler) -> None:
    """One that is `stochastic` asks for noise and its seeds differ; any other never asks."""
    samples = []
    for seed in (7, 8):
        x = normal(SMALL)
        noise = Overheard(keyed_noise(x, seed=seed))
        samples.append(walked(component.build(), x, preserving(12), DATA, noise=noise)[-1].following_BCHW)
        asked = bool(noise.indices or noise.stretches)
        said = "stochastic" if component.stochastic else "deterministic"
        expect(
            asked == component.stochastic, f"a {said} sampler", "one that asks for noise" if asked else "none"
        )
    differ = not torch.equal(*samples)
    expect(
        differ == component.stochastic,
        "the noise to be used where it is asked for",
        "samples that say otherwise",
    )


def takes_the_noise_of_its_step(component: Sampler) -> None:
    """Step i takes noise(i), or the path's increments between its two levels, and no other."""
    x, levels = normal(SMALL), preserving(12)
    noise = Overheard(keyed_noise(x))
    stretches = []
    for step in component.build()(x, course_of(x, levels, DATA, noise=noise)):
        stretches.append((step.level.log_snr, step.next_level.log_snr))
        noise.step += 1
    wrong = [pair for pair in noise.indices if pair[0] != pair[1]]
    told = "".join(f"noise({i}) in step {step}; " for step, i in wrong)
    expect(not wrong, "step i to ask for noise(i)", told)
    slack = 1e-9
    for index, current, following in noise.stretches:
        begin, end = stretches[index]
        within = begin - slack <= current.log_snr < following.log_snr <= end + slack
        expect(within, f"step {index} to ask for its own stretch of the path", f"{current} to {following}")


def rows_are_independent(component: Sampler) -> None:
    """A sample is the same alone as in a batch, to 1e-10."""
    levels, x = preserving(8), normal(SMALL, seed=1)
    together = walked(component.build(), x, levels, DATA)[-1].following_BCHW
    for row in range(len(x)):
        mine = x[row : row + 1]
        alone = walked(component.build(), mine, levels, DATA, noise=keyed_noise(mine, first=row))
        expect_close(
            alone[-1].following_BCHW, together[row : row + 1], within=1e-10, what=f"sample {row} alone"
        )


def repeats_itself(component: Sampler) -> None:
    """Equal inputs give equal samples, and one walk does not touch the next: all noise is the course's."""
    walk = component.build()
    one, two = (walked(walk, normal(SMALL), preserving(8), DATA)[-1].following_BCHW for _ in range(2))
    expect(torch.equal(one, two), "equal samples of two walks", "others")


def keeps_the_dtype(component: Sampler) -> None:
    """float32 in, float32 out, near to float64's: coefficients are computed in float64 and cast once."""
    levels, x = preserving(20), normal(SMALL, seed=1)

    class Single:
        """The float64 walk's noise, cast."""

        exact = keyed_noise(x)

        def __call__(self, index: int, draw: int = 0) -> Tensor:
            return self.exact(index, draw).float()

        def between(self, current: Level, following: Level) -> Tensor:
            return self.exact.between(current, following).float()

    exact = walked(component.build(), x, levels, DATA)[-1].following_BCHW
    steps = walked(component.build(), x.float(), levels, DATA, noise=Single())
    for step in steps:
        expect(step.following_BCHW.dtype == torch.float32, "float32, as x is", step.following_BCHW.dtype)
    expect_close(steps[-1].following_BCHW, exact, within=1e-4, what="the float32 sample")


CHECKS: tuple[Check, ...] = (
    yields_its_steps,
    shows_the_denoised,
    takes_a_step_at_a_time,
    calls_the_network_as_often_as_it_says,
    draws_noise_as_it_says,
    takes_the_noise_of_its_step,
    rows_are_independent,
    repeats_itself,
    keeps_the_dtype,
    *sampler_exactness.CHECKS,
)
