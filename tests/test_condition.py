"""Conditions: stacked row by row, joined slot by slot, mixed by a mask. Oracle: the rows themselves, and laws."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffloom.condition import Condition

SHAPES = {"class_B": (), "vector_BD": (4,), "tokens_BLD": (3, 2), "mask_BL": (3,), "concat_BCHW": (1, 2, 2)}
filled_slots = st.sets(st.sampled_from(sorted(SHAPES)))


def some(rows: int, slots: set[str], seed: int = 0) -> Condition:
    """Random values in the given slots."""
    generator = torch.Generator().manual_seed(seed)
    made: dict[str, Tensor] = {}
    for name in slots:
        values = torch.randint(0, 1000, (rows, *SHAPES[name]), generator=generator)
        made[name] = values if name == "class_B" else values > 500 if name == "mask_BL" else values.float()
    return Condition(**made)


def same(one: Condition, other: Condition) -> bool:
    a, b = one.filled(), other.filled()
    return a.keys() == b.keys() and all(
        torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a
    )


def test_an_empty_condition_has_no_slots() -> None:
    assert Condition().filled() == {}
    assert same(Condition.stack([Condition(), Condition()]), Condition())
    assert same(Condition.join([]), Condition())


@given(slots=filled_slots, counts=st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_stacking_puts_rows_one_after_another(slots: set[str], counts: list[int]) -> None:
    parts = [some(count, slots, seed) for seed, count in enumerate(counts)]
    stacked = Condition.stack(parts)
    start = 0
    for part, count in zip(parts, counts, strict=True):
        rows = slice(start, start + count)
        assert same(stacked.map(lambda value, rows=rows: value[rows]), part)
        start += count
    assert all(len(value) == start for value in stacked.filled().values())
    assert stacked.filled().keys() == slots


@given(slots=filled_slots, keep=st.lists(st.booleans(), max_size=6))
def test_where_takes_whole_rows(slots: set[str], keep: list[bool]) -> None:
    mine, theirs = some(len(keep), slots, 1), some(len(keep), slots, 2)
    mixed = mine.where(torch.tensor(keep, dtype=torch.bool), theirs)
    assert mixed.filled().keys() == slots
    for name, value in mixed.filled().items():
        assert value.dtype == mine.filled()[name].dtype
        for row, kept in enumerate(keep):
            assert torch.equal(value[row], (mine if kept else theirs).filled()[name][row])


@given(slots=filled_slots)
def test_where_all_or_none_is_the_one_or_the_other(slots: set[str]) -> None:
    mine, theirs = some(3, slots, 1), some(3, slots, 2)
    assert same(mine.where(torch.ones(3, dtype=torch.bool), theirs), mine)
    assert same(mine.where(torch.zeros(3, dtype=torch.bool), theirs), theirs)


def test_where_refuses_a_null_condition_of_other_slots() -> None:
    with pytest.raises(AssertionError, match="other slots"):
        some(2, {"class_B"}).where(torch.tensor([True, False]), some(2, {"vector_BD"}))


@given(slots=filled_slots)
def test_joining_nothing_changes_nothing(slots: set[str]) -> None:
    one = some(2, slots)
    assert same(Condition.join([one]), one)
    assert same(Condition.join([Condition(), one]), one)
    assert same(Condition.join([one, Condition()]), one)


@given(one=filled_slots, other=filled_slots)
def test_joining_concatenates_what_both_have(one: set[str], other: set[str]) -> None:
    """Vectors and pictures along their width and channels, tokens along their length; the rest stands side by side."""
    # a mask without tokens belongs to nothing, and only one of two conditioners may have classes
    one, other = ({s for s in slots if s != "mask_BL" or "tokens_BLD" in slots} for slots in (one, other))
    other.discard("class_B")
    a, b = some(2, one, 1), some(2, other, 2)
    joined = Condition.join([a, b]).filled()
    assert joined.keys() == one | other
    for name in joined.keys() - {"mask_BL"}:
        parts = [part.filled()[name] for part in (a, b) if name in part.filled()]
        assert torch.equal(joined[name], torch.cat(parts, 1) if len(parts) == 2 else parts[0])
    if "mask_BL" in joined:
        assert joined["mask_BL"].shape == joined["tokens_BLD"].shape[:2]


def test_tokens_without_a_mask_are_all_real_beside_masked_ones() -> None:
    """Either way round: where one conditioner masks its tokens, the other's get a mask of all true."""
    masked, plain = some(2, {"tokens_BLD", "mask_BL"}, 1), some(2, {"tokens_BLD"}, 2)
    assert masked.mask_BL is not None
    real = torch.ones(2, 3, dtype=torch.bool)
    for parts, expected in (
        ([masked, plain], [masked.mask_BL, real]),
        ([plain, masked], [real, masked.mask_BL]),
        ([plain, masked, plain], [real, masked.mask_BL, real]),
    ):
        found = Condition.join(parts).mask_BL
        assert found is not None
        assert torch.equal(found, torch.cat(expected, 1))
    assert Condition.join([plain, plain]).mask_BL is None


@given(slots=st.tuples(filled_slots, filled_slots, filled_slots))
def test_joining_is_associative(slots: tuple[set[str], set[str], set[str]]) -> None:
    parts = [
        some(2, {s for s in chosen if s not in ("class_B", "mask_BL")}, seed)
        for seed, chosen in enumerate(slots)
    ]
    left = Condition.join([Condition.join(parts[:2]), parts[2]])
    right = Condition.join([parts[0], Condition.join(parts[1:])])
    assert same(left, right)
    assert same(left, Condition.join(parts))


@given(slots=filled_slots)
def test_stacking_and_joining_commute(slots: set[str]) -> None:
    """As guidance does it: conditional and null rows of two conditioners."""
    other = {"vector_BD", "concat_BCHW"}
    a, b, null_a, null_b = some(2, slots, 1), some(2, other, 2), some(2, slots, 3), some(2, other, 4)
    one = Condition.stack([Condition.join([a, b]), Condition.join([null_a, null_b])])
    assert same(one, Condition.join([Condition.stack([a, null_a]), Condition.stack([b, null_b])]))


def test_two_owners_of_the_class_are_refused() -> None:
    with pytest.raises(AssertionError, match="two conditioners gave class ids"):
        Condition.join([some(2, {"class_B"}), some(2, {"class_B"})])


def test_map_reaches_every_slot() -> None:
    doubled = some(2, set(SHAPES)).map(lambda value: value.double())
    assert {value.dtype for value in doubled.filled().values()} == {torch.float64}


@given(slots=filled_slots, times=st.lists(st.floats(0, 1000), min_size=1, max_size=3))
def test_at_a_time_it_is_the_same_but_for_that(slots: set[str], times: list[float]) -> None:
    """All of it, its memory too. Oracle: `dataclasses.replace`; what it is made of stays as it was."""
    condition = replace(some(2, slots), memory={"layer": (torch.ones(2),)})
    told = condition
    for time in times:
        told = told.at(time)
        wanted = replace(condition, time=time)
        assert type(told) is Condition
        assert all(getattr(told, item.name) is getattr(wanted, item.name) for item in fields(Condition))
    assert condition.time is None
