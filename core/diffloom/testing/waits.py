"""What a program waits for on a GPU, found out on any device.

A GPU works through what it was asked, and the program runs ahead, until it needs to know something that was computed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    "_local_scalar_dense": "reads a number",
    "is_nonzero": "asks a tensor whether it is true",
    "nonzero": "makes a shape of numbers",
    "masked_select": "makes a shape of numbers",
    "lift_fresh": "makes a tensor of a list",
    "equal": "compares whole tensors",
}
"""Operations for which a program waits until the device has computed what was asked before."""


class Wait(NamedTuple):
    """Somebody waited."""

    operation: str
    """Of torch."""
    what: str
    """What it does, in words."""
    asker: str
    """The innermost function of ours that asked, dotted: `diffloom.pipeline.drawn`; empty where none did."""


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's metaclass hook is untyped
    """While entered, notes every wait, but for numbers in float64: times and coefficients, which are the host's."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Wait] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        is_of_host = any(isinstance(arg, torch.Tensor) and arg.dtype == torch.float64 for arg in args)
        if name in WAITING and not is_of_host:
            self.found.append(Wait(name, WAITING[name], _asker()))
        return func(*args, **(kwargs or {}))


def _asker() -> str:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("diffloom"):
            return f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return ""
