"""Kind `criterion`: judges a reconstruction beside its picture; one term of an autoencoder's loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from pydantic import Field, PositiveInt

from diffloom.kinds.component import Component
from diffloom.kinds.info import ImageInfo

if TYPE_CHECKING:
    from torch import Tensor, nn

    from diffloom.kinds.space import Reconstruction


class Judge(Protocol):
    """What the module that a criterion builds can do."""

    def __call__(self, reconstruction: Reconstruction, *, so_far: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The loss of each example, (B,), twice: for the autoencoder, and for the judge's own weights.

        The autoencoder's has no gradient to the judge's weights and the judge's none to the autoencoder: both are
        minimised in one optimiser step. A judge that is not trained gives zeros for its own. `so_far` is the mean
        weighted loss of the criteria before it, with its gradient; `step` counts optimiser steps from 1. It is not
        asked before its `start_step`.
        """
        ...


class Criterion(Component):
    """One term of what an autoencoder is trained to."""

    kind: ClassVar[str] = "criterion"
    relative: ClassVar[bool] = False
    """Whether it weighs itself against the criteria before it (`so_far`), so that one must have begun by then."""

    weight: Annotated[float, Field(gt=0)] = 1.0
    """What its loss is multiplied with."""
    start_step: PositiveInt = 1
    """The optimiser step at which it begins to count, and its own weights to be trained."""

    @abstractmethod
    def build(self, *, image: ImageInfo) -> nn.Module:
        """A `Judge` and a module; those of its parameters that require gradients are trained beside the autoencoder.
        Raises ValueError for pictures it cannot judge."""
