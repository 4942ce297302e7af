"""Weights of other programs, both ways: every tensor accounted for, or nothing done."""

from diffloom.bridge.accounting import fill, theirs_of
from diffloom.bridge.changes import SAME, Chain, Change, HeadOrder, Pointwise, Rows, Same
from diffloom.bridge.contract import AmbiguousError, Bridge, Entry, Foreign, Inferred, Names
from diffloom.bridge.memory import MemoryTensors
from diffloom.bridge.named_file import open_tensors
from diffloom.bridge.tensors import Tensors

__all__ = [
    "SAME",
    "AmbiguousError",
    "Bridge",
    "Chain",
    "Change",
    "Entry",
    "Foreign",
    "HeadOrder",
    "Inferred",
    "MemoryTensors",
    "Names",
    "Pointwise",
    "Rows",
    "Same",
    "Tensors",
    "fill",
    "open_tensors",
    "theirs_of",
]
