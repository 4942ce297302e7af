"""The most memory that something takes, beyond what there was."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Self

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MIB = 2**20


class Peak:
    """Within it, memory is watched: the resident set on Linux, torch's allocator on CUDA."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.mib: float | None = None
        """The most beyond the beginning; None where the system does not say."""

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        elif sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(
                0
            )  # what the allocator keeps from earlier calls is no part of this one
            CLEAR.write_text("5")  # the peak begins anew at what is resident now
            self._before = _resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            self.mib = (torch.cuda.max_memory_allocated(self._device) - self._before) / MIB
        elif sys.platform == "linux":
            self.mib = (_resident("VmHWM") - self._before) / MIB


def _resident(word: str) -> int:
    """Bytes of VmRSS, what is resident, or VmHWM, the most there was."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(word))
    return int(line.split()[1]) * 1024
