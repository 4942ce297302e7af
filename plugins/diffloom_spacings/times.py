"""The times a sampler visits, of 0 … T−1 (Lin et al. 2023, table 2), rounded as diffusers does."""

from __future__ import annotations

from pydantic import NonNegativeInt

from diffloom.kinds import TimeAxis, TimeSpacing


class Leading(TimeSpacing):
    """Every (T // N)-th time from `offset` up: never the noisiest, T − 1, unless N is T.

    DDIM's own choice. latent-diffusion's `uniform` is this with offset 1.
    """

    name = "leading"

    offset: NonNegativeInt = 0
    """Added to every time."""

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times. Raises ValueError when the offset pushes one off the schedule."""
        length = _room(axis, steps)
        stride = length // steps
        largest = (steps - 1) * stride + self.offset
        if largest > length - 1:
            raise ValueError(
                f"leading with offset {self.offset} would start at time {largest}, and the schedule ends at "
                f"{length - 1}: take fewer steps or a smaller offset"
            )
        return _falling([stride * i + self.offset for i in range(steps)], length)


class Trailing(TimeSpacing):
    """Every (T/N)-th time from the noisiest, T − 1, down: what few-step samplers want.

    For 62 of the step counts up to 1000, 61 being the first, rounding gives diffusers one step too many, at
    time −1.
    """

    name = "trailing"

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times."""
        length = _room(axis, steps)
        # -T/N, rounded as numpy.arange rounds it: the ties of round() then fall as they do in diffusers
        stride = (length - length / steps) - length
        return _falling([round(length + i * stride) - 1 for i in reversed(range(steps))], length)


class Linspace(TimeSpacing):
    """Evenly from the noisiest time, T − 1, to the cleanest, 0, both included."""

    name = "linspace"

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times."""
        length = _room(axis, steps)
        stride = (length - 1) / max(steps - 1, 1)
        return _falling([round(i * stride) for i in range(steps)], length)


def _room(axis: TimeAxis, steps: int) -> int:
    length = axis.count or 1000
    if not 1 <= steps <= length:
        raise ValueError(f"{steps} steps do not fit a schedule of {length} times: take 1 to {length}")
    return length


def _falling(rising: list[int], length: int) -> tuple[float, ...]:
    """The times, noisiest first. Raises ValueError for a walk that would take noise for a clean picture."""
    if rising[-1] == 0 and length > 1:
        raise ValueError("a single step of this spacing would start at time 0, the cleanest: take `trailing`")
    return tuple(float(time) for time in reversed(rising))
