"""Weights that are on a device only while their part of a model works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

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
        homes = [(weight, weight.data) for weight in (*part.parameters(), *part.buffers())]
        logger.debug("sampling.offload: %s goes to %s", name, device)
        try:
            for weight, home in homes:
                weight.data = home.to(device)
            yield
        finally:
            for weight, home in homes:
                weight.data = home
            logger.debug("sampling.offload: %s has left %s", name, device)
