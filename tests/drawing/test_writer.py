"""Writing beside the drawing: in order, bounded, and nothing lost or swallowed. Oracle: what was given."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from diffloom import Pipeline
from diffloom.drawing.folder import ImageFolder
from diffloom.drawing.writer import WAITING, Writer


def test_everything_is_written_in_order_before_it_is_left() -> None:
    written: list[int] = []
    with Writer() as writer:
        for number in range(20):
            writer.put(written.append, number)
    assert written == list(range(20))


def test_whoever_gives_more_waits() -> None:
    may_go, written = threading.Event(), list[int]()

    def write(number: int) -> None:
        may_go.wait()
        written.append(number)

    with Writer() as writer:
        for number in range(WAITING):
            writer.put(write, number)
        late = threading.Thread(target=writer.put, args=(write, WAITING))
        late.start()
        late.join(0.2)
        assert late.is_alive()  # it waits for the first
        assert written == []
        may_go.set()
        late.join()
    assert written == list(range(WAITING + 1))


@pytest.mark.parametrize("failing", [0, 4])
def test_a_failure_is_raised_where_it_was_asked_for(failing: int) -> None:
    def write(number: int) -> None:
        if number == failing:
            raise OSError(28, "No space left on device")

    def write_all() -> None:
        with Writer() as writer:
            for number in range(5):
                writer.put(write, number)

    with pytest.raises(OSError, match="No space left"):
        write_all()


def test_no_more_than_a_few_batches_are_ever_in_memory(small_model: Pipeline, tmp_path, monkeypatch) -> None:
    """However many images: those that are written, one batch that waits, and the one that is drawn."""
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0
    write = ImageFolder.write

    def watched(self: ImageFolder, rows: range, bytes_BHWC: np.ndarray, recipe_of: object) -> None:
        nonlocal most
        alive.append(weakref.ref(bytes_BHWC))
        most = max(most, sum(one() is not None for one in alive))
        write(self, rows, bytes_BHWC, recipe_of)

    monkeypatch.setattr(ImageFolder, "write", watched)
    small_model.sample_to(tmp_path / "out", n=40, label=3, steps=1, batch_size=2)
    gc.collect()
    assert len(alive) == 20
    assert most <= WAITING + 2
    assert all(one() is None for one in alive)
