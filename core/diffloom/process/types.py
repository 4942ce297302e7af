"""The words samplers, guidance and the reverse process share.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Conditioner, Conversion, NoiseSchedule, ReverseVariance
from diffloom.process.denoised import Denoised

if TYPE_CHECKING:
    from diffloom.inference import Precision


@dataclass(frozen=True, slots=True)
class Level:
    """A noise level, in float64: x_t = alpha·x₀ + sigma·ε."""

    t: float
    """The schedule's time, which the network is shown; that of the clean level, −1, is never shown."""
    alpha: float
    sigma: float

    def __hash__(self) -> int:
        """Levels are looked up in every step, and seldom two have one sigma."""
        return hash(self.sigma)

    @property
    def is_clean(self) -> bool:
        return self.sigma == 0.0

    @property
    def ratio(self) -> float:
        """sigma/alpha, the σ of Karras et al. 2022 and of k-diffusion; ∞ where no signal is left."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    @property
    def log_snr(self) -> float:
        """log(alpha²/sigma²): ∞ where clean, −∞ where no signal is left."""
        return 2 * self.half_log_snr

    @property
    def half_log_snr(self) -> float:
        """log(alpha/sigma), the λ of Lu et al. 2022."""
        if self.is_clean:
            return math.inf
        return math.log(self.alpha / self.sigma) if self.alpha > 0 else -math.inf


CLEAN = Level(t=-1.0, alpha=1.0, sigma=0.0)
"""No noise left: where walks end, unless sampling says `end: first`."""


class Step:
    """One step of a walk, from `level` to `next_level`."""

    __slots__ = ("_said", "following_BCHW", "index", "level", "next_level", "x_t_BCHW")

    def __init__(  # noqa: PLR0917
        self,
        index: int,
        level: Level,
        next_level: Level,
        x_t_BCHW: Tensor,
        x0_BCHW: Tensor | Denoised,
        following_BCHW: Tensor,
    ) -> None:
        """`x0_BCHW` may be what a network said, of which x₀ is made when it is read.

        Not by keyword alone, as everything else: Python takes twice as long to make an object by keywords.
        """
        self.index = index
        """0 for the first."""
        self.level = level
        self.next_level = next_level
        self.x_t_BCHW = x_t_BCHW
        """Where the step began."""
        self.following_BCHW = following_BCHW
        """Where the step arrived; the last step's is the sample."""
        self._said = x0_BCHW

    @property
    def x0_BCHW(self) -> Tensor:  # noqa: N802
        """The clean image as predicted from x_t."""
        return self._said if isinstance(self._said, Tensor) else self._said.x0_BCHW

    @property
    def t(self) -> float:
        """The time the step began at."""
        return self.level.t


class WalkNoise(Protocol):
    """The fresh noise of one walk, keyed by sample: shaped like x, standard normal."""

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        """The noise of step `index`; a step that needs several takes draw 0, 1, …"""
        ...

    def between(self, current: Level, following: Level) -> Tensor:
        """The increment of one Brownian path over alpha²/sigma² from one level to a cleaner one, divided by its std.

        The path is a function of the sample's key alone: walks with other steps follow the same one.
        """
        ...


@dataclass(frozen=True)
class Course:
    """What a sampler is given for a walk: where to go, and what it may ask on the way."""

    levels: tuple[Level, ...]
    """Strictly falling in noise; the last is where the walk ends."""
    denoise: Callable[[Tensor, Level], Denoised]
    """x₀ and ε at a level, any level: prediction, schedule, guidance and clipping are inside."""
    noise: WalkNoise
    variance: ReverseVariance
    """The model's own, for samplers that take one."""
    at: Callable[[float], Level]
    """The level of a finite log-SNR, for samplers that look between two levels."""
    encode: Callable[[Tensor], Tensor] = lambda images: images
    """Pictures in [-1, 1] → points of the space, for samplers that are given pictures."""
    single: Callable[[int], Callable[[Tensor, Level], Denoised]] | None = None
    """`denoise` for the sample of one row by itself, where rows differ in more than x, as in their conditions."""

    def alone(self, row: int) -> Callable[[Tensor, Level], Denoised]:
        """`denoise` for x_1CHW of one row, for samplers that go to other levels with each sample."""
        return self.denoise if self.single is None else self.single(row)


@dataclass(frozen=True)
class Aims:
    """The conditions of a guided walk; each has a row for each sample."""

    condition: Condition
    """What is asked for."""
    null: Condition
    """What guidance leads away from: the negative condition, or the null one."""
    others: tuple[tuple[float, Condition], ...] = ()
    """Further conditions that are asked for, each with its weight."""
    raw: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """What is asked for as it was given, for networks with conditioners of their own."""


@dataclass(eq=False)
class Estimate:
    """What a self-conditioned network last said of x₀ under one condition of a walk, which it is shown again."""

    x0_BCHW: Tensor | None = None
    """None until it has said something."""


class Under(Protocol):
    """The denoiser under a condition."""

    def __call__(
        self, condition: Condition, estimates: Sequence[Estimate] | None = None
    ) -> Callable[[Tensor, Level], Denoised]:
        """(x_BCHW, level) → x₀ and ε; what depends on the condition alone is computed here and now.

        Where the condition is several, stacked, `estimates` has one for each, to be shared with other stacks of them.
        """
        ...


@dataclass(frozen=True)
class Model:
    """What guidance may know of the model it steers."""

    under: Under
    """The denoiser under a condition."""
    backbone: nn.Module
    schedule: NoiseSchedule
    space: nn.Module
    """Makes pictures of what is diffused."""
    space_shape: tuple[int, ...]
    """(C, H, W) of what is diffused."""
    conditioners: Mapping[str, Conditioner]
    """What the conditions are, by name."""
    times: tuple[float, ...] = ()
    """Those of the walk, from the noisiest on, where they are known before."""
    precision: Precision = "auto"
    """What the network computes in, as `sampling.precision` has it, and another beside it should."""
    compiles: bool = False
    """Whether its blocks are compiled, and another's should be."""


@dataclass(frozen=True, eq=False)
class View:
    """A prediction that a guidance wants beside the plain one."""

    condition: Condition
    through: Callable[[Tensor, Level], Denoised] | None = None
    """Another denoiser, ready for use; None is the model's own, under `condition`."""


@dataclass(frozen=True)
class Process:
    """The mathematics of one model: its schedule, its prediction and its reverse variance."""

    schedule: NoiseSchedule
    prediction: Conversion
    variance: ReverseVariance
