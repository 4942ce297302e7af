"""Seeds as users write them. Oracle: the rule stated in the docstring, spelt out case by case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffloom.seeds import parse_seed, sample_keys


@pytest.mark.parametrize(
    ("seed", "count", "keys"),
    [
        (5, None, ((5, 0),)),
        (5, 3, ((5, 0), (5, 1), (5, 2))),
        ([5, 6], None, ((5, 0), (6, 0))),
        ([5, (5, 17)], 2, ((5, 0), (5, 17))),
        ((5, 17), None, ((5, 17),)),
        ([2**64 - 1], None, ((2**64 - 1, 0),)),
    ],
)
def test_keys(seed: object, count: int | None, keys: tuple[tuple[int, int], ...]) -> None:
    assert tuple(sample_keys(seed, count)) == keys


@pytest.mark.parametrize(
    ("seed", "count", "message"),
    [
        ([1, 2], 3, "2 seeds for 3 samples"),
        (-1, 1, "between 0 and"),
        (5, 0, "ask for at least one"),
        ([], None, "ask for at least one"),
        (2**64, 1, "between 0 and"),
        ([(1, -1)], None, "between 0 and"),
    ],
)
def test_refused(seed: object, count: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample_keys(seed, count)


@pytest.mark.parametrize(
    ("text", "seed"), [("5", 5), ("5:17", [(5, 17)]), ("5:17,6", [(5, 17), 6]), ("0, 1", [0, 1])]
)
def test_parse(text: str, seed: object) -> None:
    assert parse_seed(text) == seed


@pytest.mark.parametrize("text", ["", "-1", "five", "1:2:3", "1,", "1.5"])
def test_parse_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a seed"):
        parse_seed(text)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=2, max_size=5))
def test_written_and_read_back(pairs: list[tuple[int, int]]) -> None:
    assert sample_keys(parse_seed(",".join(f"{s}:{i}" for s, i in pairs)), None) == tuple(pairs)
