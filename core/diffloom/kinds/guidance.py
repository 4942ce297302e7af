"""Kind `guidance`: adds to the conditional prediction what leads away from another one.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Aims, Denoised, Level, Model, View

Under: TypeAlias = "Callable[[Condition], Callable[[Tensor, Level], Denoised]]"
"""A denoiser under one condition at a time; computes there and then what depends on the condition alone."""

if TYPE_CHECKING:
    from diffloom.condition import Condition


class Pull(Protocol):
    """One guidance during one walk."""

    @property
    def views(self) -> Sequence[View]:
        """What it wants predicted beside the plain conditional prediction, the same at every level.

        Views of the model itself share one batch, and those of several guidances that are the same object are
        computed once.
        """
        ...

    def active(self, level: Level) -> bool:
        """Whether it does anything at this level; where it does not, its views cost nothing."""
        ...

    def shift(
        self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]
    ) -> Tensor | None:
        """What it adds to the plain prediction of x₀, shaped like x_t; `seen` has one prediction for each view."""
        ...


class Guide(Protocol):
    """What a guidance builds."""

    def __call__(self, aims: Aims, model: Model) -> Pull:
        """The guidance of one walk. Raises ValueError where the model, or what is asked of it, does not suit."""
        ...


class Guidance(Component):
    """Steers the denoiser."""

    kind: ClassVar[str] = "guidance"
    compares: ClassVar[bool] = True
    """Whether it compares with the null condition, which the model must have been trained on (lint)."""
    weighs: ClassVar[bool] = False
    """Whether it follows further weighted conditions (`sample(also=...)`)."""

    scale: float | tuple[float, ...] = 1.0
    """Strength, one for all samples or one for each; 1 is the plain conditional model."""

    @property
    def neutral(self) -> bool:
        """Whether it changes nothing as configured."""
        return self.scale == 1

    @abstractmethod
    def build(self) -> Guide:
        """The guidance."""
