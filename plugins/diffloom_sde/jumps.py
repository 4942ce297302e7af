"""Where RePaint goes: mostly down, and now and then back up. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Leg:
    """A denoising step from levels[begin] to the next, and perhaps noise up again to levels[end]."""

    begin: int
    end: int

    @property
    def lands(self) -> int:
        """Where the denoising step arrives."""
        return self.begin + 1

    @property
    def jumps(self) -> bool:
        """Whether noise follows."""
        return self.end != self.lands


def legs(steps: int, *, jump_length: int, jump_n_sample: int) -> Iterator[Leg]:
    """The walk over `steps` noisy levels and the clean one (Lugmayr et al. 2022, appendix B, their schedule).

    Every `jump_length` levels, counted from the cleanest, and as long as there are so many above, the walk goes back up
    by as many and comes down again, so that it passes those levels `jump_n_sample` times.
    """
    left = dict.fromkeys(range(0, steps - jump_length, jump_length), jump_n_sample - 1)
    height = steps - 1  # noisy levels below the one where it stands; −1 is clean
    while height >= 0:
        begin, height = height, height - 1
        if left.get(height, 0) > 0:
            left[height] -= 1
            height += jump_length
        yield Leg(begin=steps - 1 - begin, end=steps - 1 - height)
