"""YAML 1.2 core schema: what a plain scalar means. `1e-4` is a number; `no` and `2024-01-01` are text."""

from __future__ import annotations

import math
import re

from diffloom.config.node import Scalar

# YAML 1.2.2 section 10.3.2, the tag resolution table.
WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
DECIMAL = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
NAN = re.compile(r"\.(nan|NaN|NAN)")
LONGEST_NUMBER = 1000
"""Digits; Python itself refuses to read integers of a few thousand."""


def resolve(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar. Raises ValueError for a number of more than 1000 digits."""
    if text in WORDS:
        return WORDS[text]
    for pattern, base in ((DECIMAL, 10), (OCTAL, 8), (HEXADECIMAL, 16)):
        if pattern.fullmatch(text):
            if len(text) > LONGEST_NUMBER:
                raise ValueError(f"a number of {len(text)} digits is too long")
            return int(text, base) if base == 10 else int(text[2:], base)
    if FLOAT.fullmatch(text):
        return float(text)
    if INFINITY.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    return math.nan if NAN.fullmatch(text) else text
