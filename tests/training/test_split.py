"""How a batch is divided. Laws: the parts are the batch, nearly equal, and no pass is too large."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diffloom.errors import ConfigError
from diffloom.training.split import Split


@given(st.integers(1, 200), st.none() | st.integers(1, 50), st.integers(1, 9))
def test_the_parts_are_the_batch(size: int, most: int | None, processes: int) -> None:
    splits = [
        Split(batch_size=size, micro_batch_size=most, process=process, processes=processes)
        for process in range(processes)
    ]
    try:
        splits[0].require_possible()
    except ConfigError:
        assume(False)
    passes = [split.passes for split in splits]
    assert list(chain.from_iterable(chain.from_iterable(passes))) == list(
        range(size)
    )  # each once, in their order
    sizes = [len(places) for places in chain.from_iterable(passes)]
    assert 1 <= min(sizes) <= max(sizes) <= min(sizes) + 1
    assert max(sizes) <= (most or size)
    assert len({len(each) for each in passes}) == 1  # gradients are exchanged after as many passes everywhere


@given(st.integers(1, 200), st.integers(1, 50), st.integers(1, 9))
def test_no_pass_is_spared(size: int, most: int, processes: int) -> None:
    """With one pass less, some pass would hold more examples than a device takes."""
    count = Split(batch_size=size, micro_batch_size=most, processes=processes)._passes
    assert (count - 1) * processes * most < size <= count * processes * most


@pytest.mark.parametrize(
    ("split", "told"),
    [
        (
            Split(batch_size=2, processes=3),
            "2 examples cannot be divided among 3 processes; set it higher, or use fewer processes",
        ),
        (
            Split(batch_size=5, micro_batch_size=1, processes=3),
            "5 examples cannot be divided among 3 processes in passes of at most 1; set it higher, or "
            "train.micro_batch_size",
        ),
    ],
)
def test_too_few_examples(split: Split, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split.require_possible()
    assert str(caught.value) == f"train.batch_size: {told}"


def test_it_is_told() -> None:
    assert str(Split(batch_size=8)) == "each batch of 8 in 1 pass of 1 process"
    assert (
        str(Split(batch_size=8, micro_batch_size=2, processes=2))
        == "each batch of 8 in 2 passes of 2 processes"
    )
