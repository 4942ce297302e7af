"""Trackers hear a run and cannot harm it. Oracle: what they were told, and the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from diffloom.errors import DiffloomError
from diffloom.hooks import RunInfo
from diffloom.kinds import Tracker, Tracking
from diffloom.sentinel import Finding
from diffloom.training.tracking import Trackers

HEARD: list[tuple[Any, ...]] = []


class Listening:
    """Writes down what it is told; raises where its name says so, and spoils what it is given."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _hear(self, *news: Any) -> None:
        HEARD.append((self.name, *news))
        if self.name == f"raises at {news[0]}":
            raise ConnectionError("no network")
        if self.name == f"exits at {news[0]}":
            raise SystemExit(3)

    def figures(self, step: int, row: Mapping[str, float]) -> None:
        self._hear("figures", step, dict(row))
        row.clear()  # type: ignore[attr-defined]

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        self._hear("picture", step, name, picture.getpixel((0, 0)))
        picture.putpixel((0, 0), 99)

    def finding(self, step: int, title: str, text: str) -> None:
        self._hear("finding", step, title, text)

    def close(self, reason: str) -> None:
        self._hear("close", reason)


class Listener(Tracker):
    """Begins, or fails to."""

    name = "listener"
    title: str
    begins: bool = True
    mistake: bool = False

    def build(self, run: RunInfo) -> Tracking:
        if self.mistake:
            raise DiffloomError("not installed; install it")
        if not self.begins:
            raise ConnectionError("no route to host")
        return Listening(self.title)


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    HEARD.clear()


@pytest.fixture
def info(tmp_path: Path) -> RunInfo:
    return RunInfo(tmp_path, "train: {}\n", 0, 4)


def go(trackers: Trackers) -> None:
    picture = Image.new("L", (2, 2), 7)
    row = {"step": 2, "loss": 0.5}
    trackers.finding(Finding(step=2, cause="ema-frozen", text="it has not moved"))
    trackers.figures(2, row)
    trackers.picture(2, "samples", picture)
    trackers.close("finished")
    assert row == {"step": 2, "loss": 0.5}
    assert picture.getpixel((0, 0)) == 7


WHOLE = [
    ("finding", 2, "ema-frozen", "it has not moved"),
    ("figures", 2, {"step": 2, "loss": 0.5}),
    ("picture", 2, "samples", 7),
    ("close", "finished"),
]


def heard(title: str) -> list[tuple[Any, ...]]:
    return [news for name, *news_list in HEARD if name == title for news in [tuple(news_list)]]


def test_each_hears_everything_in_copies_of_its_own(info: RunInfo) -> None:
    go(Trackers([Listener(title="one"), Listener(title="two")], info))
    assert heard("one") == heard("two") == WHOLE


@pytest.mark.parametrize("way", ["raises", "exits"])
@pytest.mark.parametrize("at", range(4), ids=lambda at: WHOLE[at][0])
def test_one_that_raises_is_reported_once_and_hears_no_more(
    info: RunInfo, caplog: pytest.LogCaptureFixture, way: str, at: int
) -> None:
    title = f"{way} at {WHOLE[at][0]}"
    go(Trackers([Listener(title=title), Listener(title="other")], info))
    assert heard(title) == WHOLE[: at + 1]
    assert heard("other") == WHOLE
    error = "ConnectionError: no network" if way == "raises" else "SystemExit: 3"
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == f"train.trackers[0] () raised {error}; it is not told of the rest of this run"


def test_one_that_cannot_begin_is_told_before_the_run(info: RunInfo) -> None:
    with pytest.raises(
        DiffloomError, match=r"^train\.trackers\[1\] \(\): cannot begin: ConnectionError: no route"
    ):
        Trackers([Listener(title="one"), Listener(title="two", begins=False)], info)
    assert heard("one") == [("close", "failed")]


def test_its_own_words_are_kept(info: RunInfo) -> None:
    with pytest.raises(DiffloomError, match=r"^not installed; install it$"):
        Trackers([Listener(title="one", mistake=True)], info)
