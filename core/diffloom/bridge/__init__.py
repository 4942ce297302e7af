"""Weights of other programs, both ways: every tensor accounted for, or nothing done."""

from diffloom.bridge.changes import SAME, Change, Rows, Same
from diffloom.bridge.contract import AmbiguousError, Bridge, Entry, Foreign, Inferred
from diffloom.bridge.tensors import Tensors

__all__ = [
    "SAME",
    "AmbiguousError",
    "Bridge",
    "Change",
    "Entry",
    "Foreign",
    "Inferred",
    "Rows",
    "Same",
    "Tensors",
]
