"""A sampler's surroundings, for laws and tests. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from diffloom.kinds import ReverseVariance, Walk
from diffloom.process import Course, Denoised, Draws, KeyedNoise, Level, Step, WalkNoise
from diffloom.testing.closed_forms import Posterior, preserving_at


def course_of(
    x_BCHW: Tensor,
    levels: Sequence[Level],
    denoise: Callable[[Tensor, Level], Denoised],
    *,
    noise: WalkNoise | None = None,
    variance: ReverseVariance | None = None,
    at: Callable[[float], Level] = preserving_at,
) -> Course:
    """A course for a walk from x_BCHW.

    Without `noise` row b has that of sample b of seed 7, whatever the batch, in x's dtype.
    """
    return Course(
        levels=tuple(levels),
        denoise=denoise,
        noise=noise or keyed_noise(x_BCHW),
        variance=variance or Posterior(),
        at=at,
    )


def walked(
    walk: Walk,
    x_BCHW: Tensor,
    levels: Sequence[Level],
    denoise: Callable[[Tensor, Level], Denoised],
    *,
    noise: WalkNoise | None = None,
    variance: ReverseVariance | None = None,
    at: Callable[[float], Level] = preserving_at,
) -> list[Step]:
    """All steps of a walk along the course of `course_of`."""
    return list(walk(x_BCHW, course_of(x_BCHW, levels, denoise, noise=noise, variance=variance, at=at)))


def keyed_noise(x_BCHW: Tensor, *, first: int = 0, seed: int = 7) -> KeyedNoise:
    """The fresh noise of samples first, first + 1, …, shaped like x."""
    draws = Draws.of(seed, range(first, first + len(x_BCHW)))
    return KeyedNoise(draws, tuple(x_BCHW.shape[1:]), x_BCHW.device, x_BCHW.dtype)


class GivenNoise:
    """Noise from a list, as a peer is fed with; a path's increments are the list's too, in the order of asking."""

    def __init__(self, noises: Sequence[Tensor]) -> None:
        self.noises = noises
        self.asked: list[tuple[int, int]] = []
        """(step, draw) of every question."""
        self._increments = 0

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        """noises[index], for draw 0."""
        self.asked.append((index, draw))
        assert draw == 0, "a list has one noise for each step"
        return self.noises[index]

    def between(self, current: Level, following: Level) -> Tensor:
        """The next in the list."""
        self._increments += 1
        return self.noises[self._increments - 1]
