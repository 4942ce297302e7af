"""Kind `guidance`: adds to the conditional prediction what leads away from another one, or towards a goal.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol, runtime_checkable

from pydantic import Field

from diffloom.kinds.component import Component
from diffloom.kinds.info import ConditionInfo, SpaceInfo

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

    from diffloom.process import Aims, Denoised, Level, Model, View

Scale = float | Annotated[tuple[float, ...], Field(min_length=1)]
"""One number for all samples, or one for each."""


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
        """Whether it does anything at this level; where it does not, its views cost nothing.

        A function of the level alone: it is asked before the walk as well, for what it will need.
        """
        ...

    def shift(
        self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]
    ) -> Tensor | None:
        """What it adds to the plain prediction of x₀, shaped like x_t; `seen` has one prediction for each view."""
        ...


@runtime_checkable
class Tilting(Protocol):
    """What a pull also is where its shift is a gradient, which an ancestral step takes elsewhere than at x_t."""

    def gradient(self, x_BCHW: Tensor, level: Level) -> Tensor:
        """(scale − 1) · ∇ log p(y | x) at x of this level, shaped like x (`diffloom.process.Tilt`)."""
        ...


@runtime_checkable
class Mixing(Protocol):
    """What a pull also is where its shift is a mixture of predictions: Σ weight·(view − plain).

    Outputs of one network are then mixed as they are, before x₀ is made of them; `shift` is asked where a view
    predicts something else, as another network may.
    """

    def weights(self, level: Level, like_BCHW: Tensor) -> Sequence[Tensor | float]:
        """Of each view: a number, or (B, 1, 1, 1) in the type and place of `like`.

        A function of the level alone: asked once for all levels that are known, before the second step.
        """
        ...


class Guide(Protocol):
    """What a guidance builds."""

    def __call__(self, aims: Aims, model: Model) -> Sequence[Pull]:
        """The pulls of one walk: one, or those of several guidances together.

        What they remember is that walk's. Raises ValueError where the model, or what is asked of it, does not suit.
        """
        ...


class Guidance(Component):
    """Steers the denoiser."""

    kind: ClassVar[str] = "guidance"

    @property
    def compares(self) -> bool:
        """Whether it compares with the null condition, which the model must have been trained on (lint)."""
        return True

    @property
    def weighs(self) -> bool:
        """Whether it follows further weighted conditions (`sample(also=...)`)."""
        return False

    @property
    def neutral(self) -> bool:
        """Whether it changes nothing as configured."""
        return False

    @property
    def samples(self) -> int | None:
        """How many samples it is for, where it says something of each; None where it is for any number."""
        return None

    def rows(self, rows: slice) -> Self:
        """The same for some of the samples."""
        return self

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
        """Raises ValueError for a model that it cannot guide, saying why.

        Needs no torch, so that `diffloom config check` can tell.
        """

    @abstractmethod
    def build(self) -> Guide:
        """The guidance."""


class ScaledGuidance(Guidance):
    """A guidance with a scale: other + scale · (plain − other), of the plain prediction and another one."""

    scale: Scale = 1.0
    """Strength, one for all samples or one for each; 1 is the plain conditional model."""

    @property
    def neutral(self) -> bool:
        return self.scale == 1 if isinstance(self.scale, float) else all(one == 1 for one in self.scale)

    @property
    def samples(self) -> int | None:
        return len(self.scale) if isinstance(self.scale, tuple) else None

    def rows(self, rows: slice) -> Self:
        return self.model_copy(update={"scale": self.scale[rows]}) if isinstance(self.scale, tuple) else self
