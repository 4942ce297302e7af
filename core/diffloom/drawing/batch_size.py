"""How many images are drawn at once where nobody says: as many as memory holds, up to what makes it no faster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import torch

if TYPE_CHECKING:
    from diffloom.sampling import SamplingPlan

LARGEST = 64
"""Where all processors and most GPUs have long been busy."""
BYTES_OF_A_PIXEL = 16 * 1024
"""More than common networks take while they compute: a pixel U-Net of 35.7 M weights takes 6.9 kB for each of a
picture's pixels, the decoder of Stable Diffusion 10 kB."""
SHARE = 0.8
"""Of the memory that is available, what may be filled."""
CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may have."""


def suited_batch_size(plan: SamplingPlan) -> int:
    """A batch for which memory suffices: by a picture's size where that leaves no doubt, else as `diffloom plan` says.

    Planning takes a second or so, which is little where pictures are large, and much where they are small.
    """
    wanted, pipeline = min(LARGEST, len(plan.keys)), plan.pipeline
    free = SHARE * available_bytes(pipeline.device)
    info = pipeline.document.image.info
    if wanted * BYTES_OF_A_PIXEL * info.height * info.width <= free:
        return wanted
    from diffloom.planning.batch import bytes_of_batches

    base, each = bytes_of_batches(plan, most=wanted)
    return max(1, min(wanted, int((free - base) // each)))


def available_bytes(device: torch.device) -> int:
    """Memory that is free on a device; of the CPU's, this process's part where a launcher has begun several here."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = psutil.virtual_memory().available
    limit = CGROUP / "memory.max"
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        figures = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        cached = int(figures["inactive_file"])  # given back when it is needed
        free = min(free, int(most) - int((CGROUP / "memory.current").read_text()) + cached)
    return free // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
