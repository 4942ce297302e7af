"""Which tensors of a model a checkpoint keeps once, and which both as last trained and averaged."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from torch import Tensor, nn


class Split(NamedTuple):
    """A module's tensors by name."""

    frozen: dict[str, Tensor]
    """Those that training leaves alone: of frozen parts, buffers included, and parameters without a gradient."""
    changing: dict[str, Tensor]
    """Those that it changes."""


def split(module: nn.Module, *, frozen: Collection[str]) -> Split:
    """The module's state in two; `frozen` are the names of whole parts."""
    everyone = dict(module.named_parameters(remove_duplicate=False))
    found = Split({}, {})
    for name, tensor in module.state_dict().items():
        part = name.partition(".")[0]
        is_frozen = part in frozen or (name in everyone and not everyone[name].requires_grad)
        (found.frozen if is_frozen else found.changing)[name] = tensor
    return found
