"""Examples that cannot be read while a run goes on. Oracle: the examples that the test breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example
from diffloom.training import Trained
from diffloom.training.buckets import Buckets
from diffloom.training.feed import Batch, Feed, _told_unless_left
from diffloom.training.order import InOrder, Order
from diffloom.training.readable import readable
from diffloom.training.replaced import NAMED, Replaced
from diffloom.training.split import Split


@dataclass
class Damaged:
    """Example i is a picture of i; some cannot be read."""

    count: int
    broken: frozenset[int]
    failure: type[Exception] = DataError

    @property
    def info(self) -> DataInfo:
        return DataInfo(examples=self.count)

    def __len__(self) -> int:
        return self.count

    def example(self, index: int, rng: np.random.Generator) -> Example:
        if index in self.broken:
            raise self.failure(f"{index}.png is gone")
        return Example(np.full((1, 2, 2), index, np.float32))


def feed(examples: Damaged, *, workers: int = 0, batch_size: int = 4, **more: object) -> Feed:
    split = Split(batch_size=batch_size)
    return Feed(examples=examples, keys=(), shape=(1, 2, 2), seed=3, split=split, workers=workers, **more)  # type: ignore[arg-type]


def rows(feed: Feed, *, first_step: int = 0, last_step: int = 10) -> list[tuple[list[int], tuple[str, ...]]]:
    return [
        (batch.images_BCHW[:, 0, 0, 0].int().tolist(), batch.replaced)
        for batch in feed.batches(first_step=first_step, last_step=last_step)
    ]


@pytest.mark.parametrize("failure", [DataError, OSError])
def test_another_example_stands_in_its_place(failure: type[Exception]) -> None:
    """Ten epochs of four with one broken: all else stays where it was, and each place of it is told."""
    broken = 2
    whole = rows(feed(Damaged(4, frozenset())))
    mended = rows(feed(Damaged(4, frozenset({broken}), failure)))
    for (before, _), (after, replaced) in zip(whole, mended, strict=True):
        assert [a for a, b in zip(after, before, strict=True) if b != broken] == [
            b for b in before if b != broken
        ]
        assert broken not in after
        assert set(replaced) == {"example 2: 2.png is gone"}
    stood_in = [
        a
        for (b, _), (after, _) in zip(whole, mended, strict=True)
        for a, x in zip(after, b, strict=True)
        if x == broken
    ]
    assert len(set(stood_in)) > 1  # drawn anew for each position


def test_it_depends_on_the_position_alone() -> None:
    """In other batches, from the middle, with workers."""
    examples = Damaged(20, frozenset(range(0, 20, 3)))
    every = [index for batch, _ in rows(feed(examples)) for index in batch]
    assert [
        index for batch, _ in rows(feed(examples, batch_size=10), last_step=4) for index in batch
    ] == every
    assert [index for batch, _ in rows(feed(examples), first_step=6) for index in batch] == every[24:]
    assert rows(feed(examples, workers=2), first_step=6) == rows(feed(examples), first_step=6)


@pytest.mark.parametrize(("count", "told"), [(5, 5), (30, 8)])
def test_so_many_in_a_row_are_no_accident(count: int, told: int) -> None:
    with pytest.raises(DataError, match=f"^{told} examples in a row cannot be read; look at where") as caught:
        rows(feed(Damaged(count, frozenset(range(count)))))
    assert len(str(caught.value).splitlines()) == told + 1


def test_one_that_can_be_read_is_enough() -> None:
    """Of two, where every other draw is the one that cannot: of 100 positions half would fail, some of them often."""
    assert all(set(batch) == {1} for batch, _ in rows(feed(Damaged(2, frozenset({0}))), last_step=25))


def test_where_every_example_counts_none_is_replaced() -> None:
    examples = Damaged(8, frozenset({5}))
    with pytest.raises(DataError, match=r"^example 5: 5\.png is gone$"):
        rows(feed(examples, order=InOrder(examples=8)), last_step=2)


def test_the_stand_in_is_of_the_same_bucket() -> None:
    class Shaped(Damaged):
        def example(self, index: int, rng: np.random.Generator) -> Example:
            shape = (1, 2, 2) if index % 2 else (1, 1, 4)
            return Example(np.full(shape, super().example(index, rng).image_CHW[0, 0, 0]))

    buckets = Buckets(((1, 4), (2, 2)), np.arange(12) % 2)
    for batch, _ in rows(feed(Shaped(12, frozenset({1, 4, 6})), buckets=buckets)):
        assert len({index % 2 for index in batch}) == 1


def test_what_is_looked_at_beside_the_training_is_the_next_that_can_be_read() -> None:
    examples = Damaged(6, frozenset({1, 2, 5}))
    looked_at = [
        readable(examples, index, seed=0, purpose="preview").image_CHW[0, 0, 0] for index in range(6)
    ]
    assert looked_at == [0, 3, 3, 3, 4, 0]
    with pytest.raises(
        DataError, match=r"8 examples in a row cannot be read; .*:\n  example 1: 1\.png is gone\n  example 0"
    ):
        readable(Damaged(2, frozenset({0, 1})), 1, seed=0, purpose="preview")


def test_any_example_may_stand_in() -> None:
    order = Order(seed=0, examples=5)
    assert {order.another(0, np.random.default_rng(key)) for key in range(60)} == set(range(5))


def test_a_run_tells_names_and_counts(tmp_path: Path, train_tiny: Callable[..., Trained]) -> None:
    """Six examples, of which the first cannot be read, in 20 steps of four: it would have come 13 or 14 times."""
    folder = train_tiny(tmp_path / "run", "data.examples=6", "data.unreadable_at=0").folder
    counts = [
        json.loads(line).get("replaced_examples", 0)
        for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    assert sum(counts) in (13, 14)


class TestTelling:
    def batch(self, *replaced: str) -> Batch:
        return Batch((0,), np.zeros(1), {}, replaced)  # type: ignore[arg-type]

    def test_each_name_once_and_every_case_counted(self) -> None:
        replaced = Replaced()
        passes = [self.batch("a", "b"), self.batch(), self.batch("a")]
        assert list(replaced.heard(passes, step=3)) == [
            "step 3: cannot be read, and another example stands in its place: a",
            "step 3: cannot be read, and another example stands in its place: b",
        ]
        assert list(replaced.heard(passes[2:], step=4)) == []
        assert replaced.read() == {"replaced_examples": 4}
        assert replaced.read() == {}

    def test_very_many_are_not_all_named(self) -> None:
        replaced = Replaced()
        lines = list(replaced.heard([self.batch(*map(str, range(NAMED + 30)))], step=1))
        assert len(lines) == NAMED + 1
        assert lines[-1] == "step 1: more examples cannot be read; from here on metrics.jsonl counts them"
        assert replaced.read() == {"replaced_examples": NAMED + 30}


@pytest.mark.parametrize(
    ("error", "is_told"), [(ConnectionResetError(), False), (EOFError(), False), (ValueError(), True)]
)
def test_a_reader_says_nothing_of_a_run_that_has_ended(
    error: Exception, *, is_told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ends its talk with the training process is told there, and everything else as Python tells it."""
    _told_unless_left(type(error), error, None)
    assert (type(error).__name__ in capsys.readouterr().err) == is_told
