"""A course as `sample` composes it, around any function for a network: what a step costs is measured in it.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Conversion, Correction, Guidance, NoiseSchedule
from diffloom.process import (
    Aims,
    Course,
    Epsilon,
    FixedSmall,
    LearnedRange,
    Level,
    Model,
    Questions,
    Steered,
    clipped,
    denoiser,
    under,
)


@dataclass(frozen=True)
class StillNoise:
    """The same noise everywhere: drawing is measured apart."""

    noise_BCHW: Tensor

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        """The noise."""
        return self.noise_BCHW

    def between(self, current: Level, following: Level) -> Tensor:
        """The noise."""
        return self.noise_BCHW


def composed_course(
    levels: Sequence[Level],
    network: Callable[[Tensor, Tensor, Condition], Tensor],
    *,
    noise_BCHW: Tensor,
    schedule: NoiseSchedule,
    prediction: Conversion | None = None,
    at: Callable[[float], Level] | None = None,
    guidance: Guidance | None = None,
    corrections: Sequence[Correction] = (),
    clip: float | None = None,
    learned_variance: bool = False,
    aims: Aims | None = None,
) -> Course:
    """The course of a walk down `levels`, for samples shaped like its noise; ε is predicted where nothing else is said.

    `at` is the schedule's own, and `aims` two conditions that say nothing.
    """
    questions = Questions(prediction or Epsilon(), levels)
    plain = denoiser(network, prediction or Epsilon(), learned_variance=learned_variance, questions=questions)
    model = Model(
        under=under(plain),
        backbone=nn.Identity(),
        schedule=schedule,
        space=nn.Identity(),
        space_shape=tuple(noise_BCHW.shape[1:]),
        conditioners={},
    )
    aims = aims or Aims(condition=Condition(), null=Condition())
    pulls = guidance.build()(aims, model) if guidance else ()
    mending = [correction.build() for correction in corrections]
    steered = Steered(aims, model, pulls, mending, levels=questions).denoise
    return Course(
        levels=tuple(levels),
        denoise=steered if clip is None else clipped(steered, clip),
        noise=StillNoise(noise_BCHW),
        variance=LearnedRange() if learned_variance else FixedSmall(),
        at=questions.expecting(at or schedule.level),
    )
