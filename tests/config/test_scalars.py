"""Plain scalars against YAML 1.2.2's own table, and against ruamel.yaml, another reader of YAML 1.2."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from diffloom.config.scalars import resolve

# YAML 1.2.2, sections 10.2 and 10.3.2, with the words of YAML 1.1 that 1.2 made text.
TABLE = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "nULL": "nULL",
    "true": True,
    "False": False,
    "tRUE": "tRUE",
    "yes": "yes",
    "no": "no",
    "on": "on",
    "off": "off",
    "y": "y",
    "0": 0,
    "-19": -19,
    "+12": 12,
    "010": 10,
    "0o17": 15,
    "0x3A": 58,
    "0o8": "0o8",
    "-0o7": "-0o7",
    "0.": 0.0,
    "-0.0": -0.0,
    ".5": 0.5,
    "+12e03": 12000.0,
    "-2E+05": -200000.0,
    "1e-4": 1e-4,
    "1e4": 1e4,
    ".5e1": 5.0,
    ".": ".",
    "e5": "e5",
    "1_000": "1_000",
    "1:30": "1:30",
    "0b101": "0b101",
    "2024-01-01": "2024-01-01",
    "=": "=",
    ".inf": math.inf,
    "-.Inf": -math.inf,
    "+.INF": math.inf,
    "inf": "inf",
    "nan": "nan",
}


@pytest.mark.parametrize(("text", "value"), TABLE.items())
def test_table(text: str, value: object) -> None:
    found = resolve(text)
    assert type(found) is type(value)
    assert found == value


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_nan(text: str) -> None:
    found = resolve(text)
    assert isinstance(found, float)
    assert math.isnan(found)


def test_too_many_digits() -> None:
    with pytest.raises(ValueError, match=r"^a number of 1001 digits is too long$"):
        resolve("9" * 1001)


# ruamel.yaml reads some of YAML 1.1 beside the core schema (`_` between digits, `0b1`, signed octals, dates,
# sexagesimals, `=`), and misses `.5e1`; the table above has those.
shaped = st.from_regex(
    r"[-+]?[0-9]{1,4}(\.[0-9]{0,3})?([eE][-+]?[0-9]{0,2})?|[-+]?\.[0-9]{1,3}([eE][-+][0-9]{1,2})?"
    r"|0o[0-9]{1,3}|0x[0-9a-g]{1,3}|[-+]?\.(inf|Inf|INF|inF)|\.(nan|NaN|nAn)"
    r"|(true|True|tRue|false|null|NULL|no|yes|on|Off|y|~)[a-z0-9]?",
    fullmatch=True,
)


@given(shaped)
def test_agrees_with_ruamel(text: str) -> None:
    theirs = YAML(typ="safe", pure=True).load(f"a: {text}")["a"]
    ours = resolve(text)
    assert type(ours) is type(theirs)
    assert repr(ours) == repr(theirs)  # NaN included
