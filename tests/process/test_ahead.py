"""Noise that is drawn ahead. Oracles: `KeyedNoise` by itself, and what was drawn, counted.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffloom.process import Course, Denoised, Draws, KeyedNoise, Level, Move, Stepper
from diffloom.process.ahead import drawn_ahead
from diffloom.testing.closed_forms import GaussianData, preserving
from diffloom.testing.course import course_of

DRAWS, SHAPE = Draws.of(5, (17, 3)), (2, 3, 3)
LEVELS = preserving(8)
ENDLESS = LEVELS[:-1]
X = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Watched(KeyedNoise):
    """Says what is drawn, and in which thread."""

    said: list[tuple[object, object, bool]] = field(default_factory=list)

    def drawn(self, index: int, draw: int) -> Tensor:
        self.said.append((index, draw, threading.current_thread() is threading.main_thread()))
        return super().drawn(index, draw)

    def drawn_between(self, current: Level, following: Level) -> Tensor:
        self.said.append((current, following, threading.current_thread() is threading.main_thread()))
        return super().drawn_between(current, following)


def watched() -> Watched:
    return Watched(DRAWS, SHAPE)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("diffloom-noise")]


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    yield
    assert threads() == []


def test_a_step_is_drawn_while_the_one_before_is_computed() -> None:
    """All but the first by the thread, each once, none for the step into the clean level."""
    plain, noise = KeyedNoise(DRAWS, SHAPE), watched()
    with drawn_ahead(noise, LEVELS) as ahead:
        found = [ahead(index) for index in range(7)]
    assert noise.said == [(0, 0, True), *((index, 0, False) for index in range(1, 7))]
    assert all(torch.equal(one, plain(index)) for index, one in enumerate(found))


def test_where_the_end_is_noisy_its_step_is_drawn_ahead_too() -> None:
    noise = watched()
    with drawn_ahead(noise, ENDLESS) as ahead:
        for index in range(7):
            ahead(index)
    assert noise.said[-1] == (6, 0, False)


def test_a_step_of_several_draws_is_guessed_once_it_is_known() -> None:
    """As a predictor with one corrector asks: 1, then 0. Two guesses are wrong at first, and none later."""
    plain, noise = KeyedNoise(DRAWS, SHAPE), watched()
    with drawn_ahead(noise, LEVELS) as ahead:
        for index in range(7):
            for draw in (1, 0):
                assert torch.equal(ahead(index, draw), plain(index, draw))
    drawn = [(index, draw) for index, draw, _ in noise.said]
    later = [wish for wish in drawn if isinstance(wish[0], int) and wish[0] >= 2]
    assert later == [(index, draw) for index in range(2, 7) for draw in (1, 0)]
    assert all(not main for index, _, main in noise.said if isinstance(index, int) and index >= 2)


def test_a_path_is_drawn_ahead() -> None:
    """The stretches of the walk; the tree is asked by one thread at a time, and gives what it gives alone."""
    plain, noise = KeyedNoise(DRAWS, SHAPE), watched()
    pairs = list(pairwise(LEVELS[:-1]))
    with drawn_ahead(noise, LEVELS) as ahead:
        found = [ahead.between(*pair) for pair in pairs]
    assert [(one, other) for one, other, _ in noise.said] == pairs
    assert [main for *_, main in noise.said] == [True] + [False] * (len(pairs) - 1)
    assert all(torch.equal(one, plain.between(*pair)) for one, pair in zip(found, pairs, strict=True))


@given(wishes=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.booleans()), max_size=12))
def test_whatever_is_asked_is_what_is_given(wishes: list[tuple[int, int, bool]]) -> None:
    """In any order, with repeats, and mixed with the path."""
    plain = KeyedNoise(DRAWS, SHAPE)
    with drawn_ahead(KeyedNoise(DRAWS, SHAPE), LEVELS) as ahead:
        for index, draw, of_path in wishes:
            if of_path:
                start = min(index, 5 - draw)
                pair = LEVELS[start], LEVELS[start + draw + 1]
                assert torch.equal(ahead.between(*pair), plain.between(*pair))
            else:
                assert torch.equal(ahead(index, draw), plain(index, draw))


class Noisy(Stepper):
    """Takes its noise for its step."""

    def begin(self, course: Course) -> Move:
        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            denoised = course.denoise(x_BCHW, course.levels[index])
            return denoised, course.noise(index)

        return move


def test_a_walk_that_is_left_leaves_nothing_behind() -> None:
    """While it goes there is one thread; none when the generator is closed, or dropped."""
    steps = Noisy()(X, course_of(X, LEVELS, GaussianData(0.2, 0.5)))
    next(steps)
    next(steps)
    assert len(threads()) == 1
    steps.close()  # type: ignore[attr-defined]
    assert threads() == []
    other = Noisy()(X, course_of(X, LEVELS, GaussianData(0.2, 0.5)))
    next(other)
    del other
    assert threads() == []


def test_a_walk_that_fails_leaves_nothing_behind() -> None:
    calls = [0]

    def failing(x: Tensor, level: Level) -> Denoised:
        calls[0] += 1
        if calls[0] == 4:
            raise MemoryError("too large")
        return GaussianData(0.2, 0.5)(x, level)

    with pytest.raises(MemoryError, match="too large"):
        list(Noisy()(X, course_of(X, LEVELS, failing)))
    assert threads() == []


def test_what_goes_wrong_is_told_to_who_asks_for_it() -> None:
    """Levels that are one point of the path: an error of the stretch that has them, and not of the one before."""
    close = Level(LEVELS[2].t, LEVELS[2].alpha, LEVELS[2].sigma * (1 - 1e-9))
    levels = (*LEVELS[:3], close, *LEVELS[3:])
    with drawn_ahead(watched(), levels) as ahead:
        ahead.between(levels[1], levels[2])
        with pytest.raises(ValueError, match="one point of the Brownian path"):
            ahead.between(levels[2], levels[3])


def test_other_noise_is_asked_as_it_is() -> None:
    """No thread, and no question before its time."""

    class Given:
        def __call__(self, index: int, draw: int = 0) -> Tensor:
            return X

        def between(self, current: Level, following: Level) -> Tensor:
            return X

    given_noise = Given()
    with drawn_ahead(given_noise, LEVELS) as noise:
        assert noise is given_noise
