"""The tensors of a file that a configuration names, for parts that know what network is in it."""

from __future__ import annotations

from pathlib import Path

from diffloom.bridge.sources.hub import SCHEME, fetch
from diffloom.bridge.sources.opened import open_weights
from diffloom.bridge.tensors import Tensors


def open_tensors(source: str, *, pickle: bool = False) -> Tensors:
    """The weights at a path or of `hf://owner/name`, averaged ones where there are any; `fill` takes them.

    Raises CheckpointError for what is no file of weights, and for a pickle without `pickle`.
    """
    path = fetch(source, pickle=pickle, assume={}) if source.startswith(SCHEME) else Path(source)
    opened = open_weights(path, pickle=pickle, assume={})
    return opened.averages or opened.tensors
