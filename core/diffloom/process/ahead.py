"""A walk's noise, drawn while the network computes. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Self, TypeAlias

from torch import Tensor

from diffloom.process.step_noise import KeyedNoise
from diffloom.process.types import Level, WalkNoise

Wish: TypeAlias = tuple[int, int] | tuple[Level, Level]
"""(step, draw), or from which level to which."""


class DrawnAhead:
    """The noise of one walk: the numbers of `KeyedNoise`, those of the next step drawn in a thread by themselves.

    What is asked for next is guessed from what was asked for last, and never more than one draw ahead. A wrong guess is
    a draw in vain, and changes no number: every draw is a function of its key. numpy lets other threads run while it
    draws. Used as a context, which ends the thread however the walk ends.
    """

    def __init__(self, noise: KeyedNoise, levels: Sequence[Level]) -> None:
        self._noise = noise
        self._next_level = dict(pairwise(levels))
        self._last = len(levels) - (
            3 if levels[-1].is_clean else 2
        )  # no sampler adds noise into the clean level
        self._follows: dict[int, tuple[int, int]] = {}  # by draw: how many steps on, and which draw
        self._before: tuple[int, int] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._guess: tuple[Wish, Future[Tensor]] | None = None

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        """The noise of step `index`, (B, C, H, W)."""
        if self._before is not None:
            step, before = self._before
            self._follows[before] = (index - step, draw)
        self._before = (index, draw)
        on, other = self._follows.get(draw, (1, draw))
        return self._taken((index, draw), (index + on, other) if index + on <= self._last else None)

    def between(self, current: Level, following: Level) -> Tensor:
        """The increment of the samples' Brownian paths, (B, C, H, W)."""
        start = following if following in self._next_level else current
        end = self._next_level.get(start)
        return self._taken((current, following), None if end is None or end.is_clean else (start, end))

    def _taken(self, wish: Wish, guess: Wish | None) -> Tensor:
        """What is wished for; then the guess is set to work."""
        known, self._guess = self._guess, None
        if known is not None and known[0] == wish:
            drawn = known[1].result()
        else:
            if known is not None and not known[1].cancel():
                known[1].exception()  # waits: a path is for one thread at a time
            drawn = self._drawn(wish)
        if guess is not None:
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="diffloom-noise")
            self._guess = (guess, self._pool.submit(self._drawn, guess))
        return self._noise.placed(drawn)

    def _drawn(self, wish: Wish) -> Tensor:
        one, other = wish
        if isinstance(one, Level):
            assert isinstance(other, Level)
            return self._noise.drawn_between(one, other)
        assert isinstance(other, int)
        return self._noise.drawn(one, other)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def drawn_ahead(noise: WalkNoise, levels: Sequence[Level]) -> AbstractContextManager[WalkNoise]:
    """The noise of a walk down these levels: drawn ahead where it is keyed, any other as it is."""
    return DrawnAhead(noise, levels) if isinstance(noise, KeyedNoise) else nullcontext(noise)
