"""Kind `sampler`: the algorithm that walks from noise to data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component
from diffloom.kinds.info import ImageInfo
from diffloom.kinds.schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Course, Step


class Walk(Protocol):
    """What a sampler builds: a generator of steps, so that progress, previews and cancelling belong to the caller."""

    def __call__(self, x_BCHW: Tensor, course: Course) -> Iterator[Step]:
        """Walk x_BCHW from `course.levels[0]` to the last: clean or, where sampling says `end: first`, the first time.

        Yields one `Step` for each level but the last, unless the sampler takes `own_steps`; the last step's `following`
        is the sample. Rows never mix. Raises ValueError for levels that it cannot honour.
        """
        ...


class Sampler(Component):
    """Walks from noise to data."""

    kind: ClassVar[str] = "sampler"
    ends_early: ClassVar[bool] = False
    """Whether it can stop at a level that is not clean (`sampling.end: first`)."""
    starts_pure: ClassVar[bool] = True
    """Whether it can start where no signal is left (alpha = 0: zero terminal SNR, a flow's end)."""
    own_steps: ClassVar[bool] = False
    """Whether it takes steps of its own choice, and not one for each level."""
    distilled: ClassVar[bool] = False
    """Whether it is for consistency models alone, whose x₀ is a sample and not the mean of the data that fit."""

    @property
    def order(self) -> int | None:
        """Order of convergence on the probability-flow ODE as configured; None where it is stochastic or has none."""
        return None

    @property
    def stochastic(self) -> bool:
        """Whether it draws fresh noise as configured."""
        return False

    def calls(self, steps: int) -> int | None:
        """Network calls of a walk over `steps` levels to the clean one; None where the problem decides."""
        return steps

    def check(self, *, image: ImageInfo, schedule: Schedule, times: Sequence[float]) -> None:
        """Raise ValueError where it cannot walk this schedule, or is given pictures of another shape than `image`.

        Runs without torch, for lint. `times` are those of the walk, or empty where the spacing chooses noise.
        """

    @abstractmethod
    def build(self) -> Walk:
        """The walk."""
