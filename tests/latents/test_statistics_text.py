"""Statistics put into YAML texts. Oracle: PyYAML's reading of the text before and after, and the lines themselves."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from diffloom.kinds import Statistics
from diffloom.latents.statistics_text import extending, with_statistics

STATISTICS = Statistics(mean=(0.5, -1e-05), std=(4.25, 2.0), examples=12, data="0e1")
PLAIN = {"mean": [0.5, -1e-05], "std": [4.25, 2.0], "examples": 12, "data": "0e1"}


def value(text: str) -> Any:
    return yaml.safe_load(text)


def removed(before: str, after: str) -> str:
    """What of the first text is not in the second, which differs from it in one place."""
    head = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
    rest = before[head:]
    tail = max(n for n in range(len(rest) + 1) if after[head:].endswith(rest[len(rest) - n :]))
    return before[head : len(before) - tail]


@pytest.mark.parametrize(
    "text",
    [
        "space:\n  type: x\n",
        "space:\n  type: x",
        "a: 1\nspace:   # where\n    type: x   # which\n    weights: runs/a b  # from\n\n# next\nb: {c: 2}\n",
        "space:\n  type: x\n\n\n\nb: 1\n",
        "space:\n  type: x\n  inner:\n    deep: [1,\n      2]  # here\n# after\nb: 1\n",
        "space:\n  type: x\n  list:\n  - a\n  - b: 1\n    c: 2 # last\nb: 1\n",
        "space:\n  type: x\n  empty:\nb: 1\n",
        "space:\n  type: x\n  words: |\n    one\n\n    two\n\nb: 1\n",
        "space:\n  type: x\n  words: >-\n    one\n    two",
        "space:\r\n  type: x\r\n  weights: y  # z\r\nb: 1\r\n",
        "space: {type: x}\nb: 1\n",
        "space: {type: x, }  # trailing\n",
        "space: {\n  type: x,   # first\n  weights: 'a, b}',  # second\n}\nb: 1\n",
        '{"space": {"type": "x", "tiles": [1, 2]}, "b": 1}',
        '"space": {type: "ü → ł"}\nb: 1\n',
        "space:\n  type: x\n  statistics: null\n  after: 1\n",
        "space:\n  type: x\n  statistics:\n  after: 1\n",
        "space: {type: x, statistics: null, after: 1}\n",
    ],
)
def test_nothing_else_changes(text: str) -> None:
    after = with_statistics(text, STATISTICS)
    assert after is not None
    meant = value(text)
    meant["space"]["statistics"] = PLAIN
    assert value(after) == meant
    assert removed(text, after) in ("", "null")
    assert [line.partition("#")[2] for line in text.splitlines() if "#" in line] == [
        line.partition("#")[2] for line in after.splitlines() if "#" in line
    ]
    assert ("\n" in after.replace("\r\n", "")) == ("\n" in text.replace("\r\n", ""))


@pytest.mark.parametrize(
    "old",
    [
        "{mean: [1.0, 2.0], std: [3.0, 4.0], examples: 5, data: abc}",
        "{examples: 5,\n    # the rest\n    data: abc, mean: [1.0,\n    2.0], std: [3.0, 4.0]}",
        "  # measured in May\n    mean: [1.0, 2.0]\n    std:   # wide\n    - 3.0\n    - 4.0   # very\n"
        "    examples: 5\n    data: abc",
    ],
)
def test_older_ones_give_way_and_their_comments_stay(old: str) -> None:
    text = f"space:\n  statistics: {old}  # so much\n  type: x  # last\nb: 1\n"
    after = with_statistics(text, STATISTICS)
    assert after is not None
    assert value(after) == {"space": {"type": "x", "statistics": PLAIN}, "b": 1}
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in after.splitlines() if "#" in line] == comments
    assert with_statistics(after, STATISTICS) == after


def test_in_full() -> None:
    after = with_statistics("space:\n  type: x  # y\nb: 1\n", STATISTICS)
    assert after == (
        "space:\n  type: x  # y\n  statistics:\n    mean: [0.5, -1.0e-05]\n    std: [4.25, 2.0]\n"
        '    examples: 12\n    data: "0e1"\nb: 1\n'
    )
    assert with_statistics("space: {type: x}\n", STATISTICS) == (
        'space: {type: x, statistics: {mean: [0.5, -1.0e-05], std: [4.25, 2.0], examples: 12, data: "0e1"}}\n'
    )


@pytest.mark.parametrize("text", ["space: x\n", "b: 1\n", "extends: y\n", "space: {}\n", "space:\nb: 1\n"])
def test_a_space_without_keys_has_no_place_for_them(text: str) -> None:
    assert with_statistics(text, STATISTICS) is None


def test_extending() -> None:
    assert value(extending("a b.yaml", STATISTICS)) == {"extends": "a b.yaml", "space": {"statistics": PLAIN}}


FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(st.tuples(FLOATS, FLOATS.filter(lambda x: x > 0)), min_size=1, max_size=5))
def test_every_number_comes_back(numbers: list[tuple[float, float]]) -> None:
    mean, std = zip(*numbers, strict=True)
    statistics = Statistics(mean=mean, std=std, examples=1, data="a")
    for text in ("space: {type: x}", "space:\n  type: x"):
        after = with_statistics(text, statistics)
        assert after is not None
        read = value(after)["space"]["statistics"]
        assert (read["mean"], read["std"]) == ([*mean], [*std])
