"""What a call costs: CPU time, and memory beyond what there was before it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import torch
from benchmarks.scaling.growth import Cost
from benchmarks.speed.memory import Peak


def measured(call: Callable[[], object], device: torch.device) -> Cost:
    """The cost of a call, by the process's CPU clock; on CUDA by the wall's, which the device's work is in."""
    gc.collect()
    on_cuda = device.type == "cuda"
    clock = time.perf_counter if on_cuda else time.process_time
    with Peak(device) as peak:
        if on_cuda:
            torch.cuda.synchronize(device)
        began = clock()
        call()
        if on_cuda:
            torch.cuda.synchronize(device)
        seconds = clock() - began
    return Cost(seconds, peak.mib)
