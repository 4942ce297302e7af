"""Kind `schedule`: alpha(t) and sigma(t), with x_t = alpha·x₀ + sigma·ε."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from diffloom.kinds.component import Component
from diffloom.kinds.info import SpaceInfo

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Level

Share = TypeVar("Share", float, "Tensor")


@dataclass(frozen=True)
class TimeAxis:
    """The times a schedule knows, and a network is shown: they rise with the noise."""

    first: float
    """The cleanest time."""
    last: float
    """The noisiest time."""
    count: int | None
    """T, where the model is trained on T times, evenly spaced from `first` to `last`; None where on all between."""
    shift: float = 1.0
    """s, where shares u of the way are bent to s·u/(1 + (s−1)·u) (Esser et al. 2024, eq. 23); 1 is straight. Of
    uncounted times from 0 to 1 only: above 1, more of the way is noisy."""

    @classmethod
    def table(cls, count: int) -> TimeAxis:
        """The indices 0 … count−1 of a table."""
        return cls(0.0, float(count - 1), count)

    @property
    def stride(self) -> float:
        """From one time of training to the next, where they are counted."""
        assert self.count is not None, "times that are not counted have no next"
        return (self.last - self.first) / max(self.count - 1, 1)

    def whole(self, index: int) -> float:
        """The time of training with this number, 0 being the cleanest."""
        return self.first + index * self.stride

    def at(self, share: Share) -> Share:
        """The time at a share of the way from `first` (0) to `last` (1): a float, or a tensor of shares."""
        if self.shift == 1:
            return self.first + share * (self.last - self.first)
        low, high = (time / (self.shift - (self.shift - 1) * time) for time in (self.first, self.last))
        u = low + share * (high - low)
        return self.shift * u / (1 + (self.shift - 1) * u)


class NoiseSchedule(Protocol):
    """What a schedule builds. Times between those of training are allowed; everything is float64 and on the CPU."""

    @property
    def axis(self) -> TimeAxis:
        """The times it knows."""
        ...

    def alpha(self, t: Tensor) -> Tensor:
        """alpha at times t (any shape), float64 of the same shape."""
        ...

    def sigma(self, t: Tensor) -> Tensor:
        """sigma at times t (any shape), float64 of the same shape."""
        ...

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha²/sigma²) at times t (any shape), float64 of the same shape; −inf where no signal is left."""
        ...

    def time(self, log_snr: Tensor) -> Tensor:
        """The times of these log-SNRs (any shape), float64 of the same shape: the inverse of `log_snr`.

        A log-SNR beyond the axis gets the end of the axis that is nearest.
        """
        ...

    def levels(self, times: Sequence[float]) -> tuple[Level, ...]:
        """The noise level at each time, then the clean level: one more than `times`."""
        ...

    def level(self, log_snr: float) -> Level:
        """The noise level of a finite log-SNR.

        Beyond the axis alpha and sigma go on as they should, and the network is shown the nearest time.
        """
        ...

    def prior_std(self, level: Level) -> float:
        """Standard deviation of what a walk that starts at `level` starts from: 1 where variance is preserved."""
        ...


class Schedule(Component):
    """The noise schedule."""

    kind: ClassVar[str] = "schedule"

    @property
    @abstractmethod
    def axis(self) -> TimeAxis:
        """The times it knows, without torch: lint and spacings read them."""

    @property
    def zero_snr(self) -> bool:
        """Whether no signal is left at the last time (alpha = 0), without torch."""
        return False

    @abstractmethod
    def build(self, *, space: SpaceInfo | None = None) -> NoiseSchedule:
        """Compute the tables in float64. An `nn.Module` is trained, and saved, with the model.

        `space` is the shape of what is diffused, for schedules that depend on it; they raise ValueError without.
        """
