"""Spacing `sections`."""

from __future__ import annotations

from itertools import accumulate, repeat
from typing import Annotated

from pydantic import Field, PositiveInt

from diffloom.kinds import TimeAxis, TimeSpacing
from diffloom_spacings.indices import falling, room


class Sections(TimeSpacing):
    """Equal sections of the times, each with its own number of evenly spaced steps (Nichol & Dhariwal 2021).

    guided-diffusion's `timestep_respacing` says the same: "10,15,20", "250", or "ddim50" for one whole stride from
    time 0, as DDIM's paper has it. The number of steps follows, and `sampling.steps` must say it too.
    """

    name = "sections"

    sections: (
        tuple[PositiveInt, ...] | Annotated[str, Field(pattern=r"^(ddim)?[1-9]\d*$|^[1-9]\d*(,[1-9]\d*)+$")]
    )
    """Steps in each section, the cleanest first: a list, or a text such as "10,15,20" or "ddim50"."""

    @classmethod
    def specimens(cls, folder: object) -> tuple[Sections, ...]:
        return tuple(cls(sections=some) for some in ((10, 15, 20), "50", "2,1", "ddim50"))

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times. Raises ValueError for another number of steps, or sections too small for theirs."""
        if axis.count is None:
            raise ValueError(
                "sections count times, and this schedule's are not counted: take another spacing"
            )
        if sum(self._counts) != steps:
            raise ValueError(f"these sections are {sum(self._counts)} steps: set sampling.steps to that")
        length = room(axis, steps)
        if isinstance(self.sections, str) and self.sections.startswith("ddim"):
            return falling(axis, _strided(length, steps))
        return falling(axis, self._sectioned(length))

    @property
    def _counts(self) -> tuple[int, ...]:
        if isinstance(self.sections, str):
            return tuple(int(count) for count in self.sections.removeprefix("ddim").split(","))
        return self.sections

    def _sectioned(self, length: int) -> list[int]:
        counts = self._counts
        size, longer = divmod(length, len(counts))  # the first `longer` sections have one time more
        found: list[int] = []
        start = 0
        for number, count in enumerate(counts):
            own = size + (number < longer)
            if count > own:
                raise ValueError(f"a section of {own} times has no room for {count} steps: take fewer")
            stride = (own - 1) / max(count - 1, 1)
            # added up step by step, as guided-diffusion does it, so that ties round as they do there
            places = accumulate(repeat(stride, count - 1), initial=0.0)
            found += [start + round(place) for place in places]
            start += own
        return found


def _strided(length: int, steps: int) -> list[int]:
    """Every whole stride from 0 that gives this many times."""
    for stride in range(1, length + 1):
        if len(range(0, length, stride)) == steps:
            return list(range(0, length, stride))
    raise ValueError(f"no whole stride takes {steps} of {length} times from 0: take another number of steps")
