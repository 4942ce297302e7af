"""When waiting is named. Oracle: the share and the seconds as given."""

from __future__ import annotations

import pytest

from diffloom.sentinel.loader import IDLE_STEPS, SECONDS, SHARE, WINDOW, Loader


def causes(*, waited: float, seconds: float, steps: int = IDLE_STEPS + WINDOW) -> list[str]:
    loader = Loader(workers=2)
    for _ in range(steps):
        loader.heard(waited_seconds=waited, seconds=seconds)
    return [f"{alarm.cause}: {alarm.text}" for alarm in loader.judged()]


def test_it_says_how_much_and_what_to_do() -> None:
    assert causes(waited=0.06, seconds=0.08) == [
        "loader-starved: 75% of the time of the last 100 steps was spent waiting for data, 60 ms at each; raise "
        "train.workers (now 2), or keep smaller files: pictures at the size they are trained at, latents by `diffloom "
        "cache`"
    ]


@pytest.mark.parametrize(
    ("waited", "seconds", "steps"),
    [
        (SHARE, 1.0, 1000),
        (0.9 * SECONDS, SECONDS, 1000),
        (1.0, 1.0, IDLE_STEPS + WINDOW - 1),
    ],
    ids=["as long as computing", "too short to mend", "too few steps"],
)
def test_what_is_not_named(waited: float, seconds: float, steps: int) -> None:
    assert causes(waited=waited, seconds=seconds, steps=steps) == []


def test_the_first_steps_are_not_counted_and_windows_begin_anew() -> None:
    loader = Loader(workers=0)
    for _ in range(IDLE_STEPS):
        loader.heard(waited_seconds=100.0, seconds=100.0)
    for _ in range(2 * WINDOW):
        loader.heard(waited_seconds=0.01, seconds=0.1)
        assert not list(loader.judged())
    for _ in range(WINDOW):
        loader.heard(waited_seconds=1.0, seconds=1.1)
    assert len(list(loader.judged())) == 1
