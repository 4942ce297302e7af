"""Kind `sampler`: the algorithm that walks from noise to data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component
from diffloom.kinds.variance import ReverseVariance

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Denoised, Level, Step


class Walk(Protocol):
    """What a sampler builds: a generator of steps, so that progress, previews and cancelling belong to the caller."""

    def __call__(
        self,
        x_BCHW: Tensor,
        levels: Sequence[Level],
        denoise: Callable[[Tensor, Level], Denoised],
        *,
        noise: Callable[[int], Tensor],
        variance: ReverseVariance,
    ) -> Iterator[Step]:
        """Walk x_BCHW from `levels[0]` down to `levels[-1]`: clean, or time 0 where sampling says `end: first`.

        `denoise(x, level)` gives x₀ and ε: prediction, schedule and guidance are already inside. `noise(i)` is the
        keyed standard normal noise of step i, shaped like x. Yields one `Step` for each level but the last; the last
        step's `following` is the sample.
        """
        ...


class Sampler(Component):
    """Walks from noise to data."""

    kind: ClassVar[str] = "sampler"
    ends_early: ClassVar[bool] = False
    """Whether it can stop at a level that is not clean (`sampling.end: first`)."""

    @abstractmethod
    def build(self) -> Walk:
        """The walk."""
