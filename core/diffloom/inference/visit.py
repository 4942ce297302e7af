"""Weights that are on a device only while their part of a model works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

logger = logging.getLogger("diffloom")
_turn = threading.RLock()
"""One part is away from home at a time, whichever thread needs it: that is what saves memory."""


@contextmanager
def visiting(part: nn.Module, name: str, device: torch.device | None) -> Iterator[None]:
    """While entered, the weights of a part are on a device; with None they stay.

    At home they stay as well, so that nothing is copied back: what is written to them meanwhile is lost.
    """
    if device is None:
        yield
        return
    with _turn:
        logger.debug("sampling.offload: %s goes to %s", name, device)
        homes = [(module, dict(module._parameters), dict(module._buffers)) for module in part.modules()]
        try:
            _put(part, device)
            yield
        finally:
            for module, parameters, buffers in homes:
                module._parameters.update(parameters)
                module._buffers.update(buffers)
            logger.debug("sampling.offload: %s has left %s", name, device)


def _put(part: nn.Module, device: torch.device) -> None:
    """Give its modules weights that lie there; one that several modules have stays one."""
    there: dict[Tensor, Tensor] = {}
    for module in part.modules():
        for weights in (module._parameters, module._buffers):
            for name, home in weights.items():
                if home is None:
                    continue
                if home not in there:
                    moved = home.detach().to(device)
                    is_weight = isinstance(home, nn.Parameter)
                    there[home] = nn.Parameter(moved, requires_grad=False) if is_weight else moved
                weights[name] = there[home]  # type: ignore[assignment]
