"""The timings a YAML file can name. Does not import torch.

A share u of the way from the schedule's first time to its last stands for a time: where the schedule counts its times,
for the one of T equal parts of the way that u is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from diffloom.kinds import Timing

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from diffloom_objectives.second_moment import SecondMoment
    from diffloom_objectives.time_draws import CosMap, Even, LogitNormal, LogNormal, Mode, Stratified


class UniformTiming(Timing):
    """All times equally likely (Ho et al. 2020, algorithm 1)."""

    name = "uniform"

    def build(self) -> Even:
        """The times."""
        from diffloom_objectives.time_draws import Even

        return Even()


class StratifiedTiming(Timing):
    """One uniform draw for every so many examples, evenly spread among them (Kingma et al. 2021, appendix I.1).

    Examples stand in line for the whole run, and number n has the share (u + n/strata) mod 1, u being drawn for its
    round of `strata`. So each time is uniform, a batch of whole rounds covers the schedule evenly, and however a batch
    is split, an example keeps its time.
    """

    name = "stratified"

    strata: PositiveInt = 64
    """Examples in a round: best the batch size, or what divides it."""

    def build(self) -> Stratified:
        """The times."""
        from diffloom_objectives.time_draws import Stratified

        return Stratified(self.strata)


class LogitNormalTiming(Timing):
    """The share is sigmoid(mean + std·z): most times in between (Esser et al. 2024, section 3.1)."""

    name = "logit_normal"
    unbiased: ClassVar[bool] = False

    mean: float = 0.0
    """Above 0, more of the times are noisy."""
    std: PositiveFloat = 1.0
    """How wide they spread."""

    def build(self) -> LogitNormal:
        """The times."""
        from diffloom_objectives.time_draws import LogitNormal

        return LogitNormal(mean=self.mean, std=self.std)


class ModeTiming(Timing):
    """The share is 1 − u − scale·(cos²(πu/2) − 1 + u): none is rare (Esser et al. 2024, section 3.1)."""

    name = "mode"
    unbiased: ClassVar[bool] = False

    scale: Annotated[float, Field(ge=-1, le=1.75)] = 1.29
    """Above 0 the middle is likelier, below it the ends; 0 is uniform. From 2/(π − 2) on it would not be one to one."""

    def build(self) -> Mode:
        """The times."""
        from diffloom_objectives.time_draws import Mode

        return Mode(self.scale)


class CosMapTiming(Timing):
    """The share is 1 − 1/(tan(πu/2) + 1): the log-SNRs of a cosine schedule (Esser et al. 2024, section 3.1)."""

    name = "cosmap"
    unbiased: ClassVar[bool] = False

    def build(self) -> CosMap:
        """The times."""
        from diffloom_objectives.time_draws import CosMap

        return CosMap()


class LogNormalTiming(Timing):
    """ln(sigma/alpha) is normal: EDM's levels (Karras et al. 2022, table 1), on any schedule.

    A level beyond the schedule's ends takes its end; where times are counted, a level takes the nearest.
    """

    name = "log_normal"
    unbiased: ClassVar[bool] = False

    mean: float = -1.2
    """P_mean."""
    std: PositiveFloat = 1.2
    """P_std."""

    def build(self) -> LogNormal:
        """The times."""
        from diffloom_objectives.time_draws import LogNormal

        return LogNormal(mean=self.mean, std=self.std)


class SecondMomentTiming(Timing):
    """Times as often as √E[loss²] there, the losses weighed back (Nichol & Dhariwal 2021, eq. 18).

    The mean over the last losses of each part of the schedule; until every part has seen that many, all times are
    equally likely. What was seen is kept in checkpoints.
    """

    name = "second_moment"

    parts: PositiveInt = 1000
    """How many equal parts of the schedule are told apart: no more than T, which is the paper's number."""
    history: PositiveInt = 10
    """Losses of each part that are remembered."""
    uniform_share: Annotated[float, Field(gt=0, lt=1)] = 0.001
    """Probability that is left evenly to all parts, so that none is forgotten."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Fewer parts: the default takes thousands of draws to fill."""
        return (cls(parts=16, history=3),)

    def build(self) -> SecondMoment:
        """The times, a module."""
        from diffloom_objectives.second_moment import SecondMoment

        return SecondMoment(parts=self.parts, history=self.history, uniform_share=self.uniform_share)
