"""The order of examples, and the batches made from it. Oracles: what a permutation is; one batch beside many."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example
from diffloom.training.feed import Batch, Feed
from diffloom.training.order import InOrder, Order
from diffloom.training.split import Split


@given(st.integers(0, 2**64 - 1), st.integers(1, 300), st.integers(0, 50))
def test_every_epoch_is_a_permutation(seed: int, examples: int, epoch: int) -> None:
    order = Order(seed=seed, examples=examples)
    visited = [order.index(epoch * examples + place) for place in range(examples)]
    assert sorted(visited) == list(range(examples))


def test_epochs_and_seeds_differ() -> None:
    def visited(seed: int, epoch: int) -> tuple[int, ...]:
        order = Order(seed=seed, examples=100)
        return tuple(order.index(epoch * 100 + place) for place in range(100))

    assert len({visited(seed, epoch) for seed in range(4) for epoch in range(4)}) == 16


class Numbers:
    """Example i is a picture of i, plus one of its own random numbers."""

    def __init__(self, count: int) -> None:
        self.info = DataInfo(examples=count)

    def __len__(self) -> int:
        return self.info.examples

    def example(self, index: int, rng: np.random.Generator) -> Example:
        return Example(np.full((1, 2, 2), index + rng.random(), np.float32), {"label": index})


def rows(
    batch_size: int, *, first_step: int, last_step: int, workers: int = 0
) -> list[tuple[int, object, bytes]]:
    feed = Feed(
        examples=Numbers(10),
        keys=("label",),
        shape=(1, 2, 2),
        seed=3,
        split=Split(batch_size=batch_size),
        workers=workers,
    )
    return [
        (position, label, image.numpy().tobytes())
        for batch in feed.batches(first_step=first_step, last_step=last_step)
        for position, label, image in zip(batch.positions, batch.raw["label"], batch.images_BCHW, strict=True)
    ]


def test_examples_do_not_depend_on_the_batch_size() -> None:
    """36 positions, 3.6 epochs, in batches of 1, 4 and 12: the same examples with the same random numbers."""
    one = rows(1, first_step=0, last_step=36)
    assert one == rows(4, first_step=0, last_step=9) == rows(12, first_step=0, last_step=3)
    assert [position for position, _, _ in one] == list(range(36))


def test_an_example_is_augmented_anew_in_each_epoch() -> None:
    """Ten examples over four epochs: each has four random numbers of its own, all different."""
    pictures: dict[object, set[bytes]] = {}
    for _, label, image in rows(4, first_step=0, last_step=10):
        pictures.setdefault(label, set()).add(image)
    assert [len(different) for different in pictures.values()] == [4] * 10


class Handlers(Numbers):
    """Conditions that say whether the reading process ignores Ctrl-C and SIGTERM."""

    def example(self, index: int, rng: np.random.Generator) -> Example:
        ignored = all(signal.getsignal(n) is signal.SIG_IGN for n in (signal.SIGINT, signal.SIGTERM))
        return Example(np.zeros((1, 2, 2), np.float32), {"label": ignored})


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_leave_signals_to_the_trainer(workers: int) -> None:
    feed = Feed(
        examples=Handlers(4),
        keys=("label",),
        shape=(1, 2, 2),
        seed=0,
        split=Split(batch_size=4),
        workers=workers,
    )
    (batch,) = feed.batches(first_step=0, last_step=1)
    assert batch.raw["label"] == [workers > 0] * 4


def test_in_order() -> None:
    """Every example once, then from the first again, so that the last batch is full too."""
    order = InOrder(examples=10)
    feed = Feed(
        examples=Numbers(10), keys=("label",), shape=(1, 2, 2), seed=3, split=Split(batch_size=4), order=order
    )
    read = [label for batch in feed.batches(first_step=0, last_step=3) for label in batch.raw["label"]]
    assert read == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_a_resumed_feed_goes_on() -> None:
    assert rows(4, first_step=0, last_step=9)[20:] == rows(4, first_step=5, last_step=9)


def test_workers_and_the_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert rows(4, first_step=2, last_step=9, workers=2) == rows(4, first_step=2, last_step=9)
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_shapes() -> None:
    feed = Feed(examples=Numbers(10), keys=("label",), shape=(1, 2, 2), seed=3, split=Split(batch_size=4))
    (batch,) = feed.batches(first_step=0, last_step=1)
    assert isinstance(batch, Batch)
    assert batch.images_BCHW.shape == (4, 1, 2, 2)
    assert batch.images_BCHW.dtype == torch.float32


@pytest.mark.parametrize("workers", [0, 1])
def test_unfit_examples(tmp_path: Path, train_tiny, workers: int) -> None:  # type: ignore[no-untyped-def]
    """Exact messages, with a worker as without: one line, no traceback of the worker."""
    use = ("data.examples=6", f"train.workers={workers}")
    with pytest.raises(DataError) as shapeless:
        train_tiny(tmp_path / "b", "data.shapeless_at=5", *use)
    assert str(shapeless.value) == "example 5: its picture has shape (1, 1, 1) where `image:` says (1, 4, 4)"
