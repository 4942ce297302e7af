"""Memory that a thread keeps for its next use: the first write to fresh memory costs more than a block computes."""

from __future__ import annotations

import threading

import torch
from torch import Tensor


class Buffer(threading.local):
    """One-dimensional, on the CPU, for each thread and type its own, as large as was asked for at most."""

    def __init__(self) -> None:
        self._kept: dict[torch.dtype, Tensor] = {}

    def __call__(self, numbers: int, dtype: torch.dtype) -> Tensor:
        """So many numbers, of any value: those that the thread was given before are overwritten by whoever is next."""
        kept = self._kept.get(dtype)
        if kept is None or len(kept) < numbers:
            with torch.inference_mode(False):  # or no other mode could write to it
                kept = self._kept[dtype] = torch.empty(numbers, dtype=dtype)
        return kept[:numbers]
