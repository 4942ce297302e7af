"""How many images are drawn at once where nobody says: as many as memory holds, up to what makes it no faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.available import available_bytes

if TYPE_CHECKING:
    from diffloom.sampling import SamplingPlan

LARGEST = 64
"""Where all processors and most GPUs have long been busy."""
BYTES_OF_A_PIXEL = 16 * 1024
"""More than common networks take while they compute: a pixel U-Net of 35.7 M weights takes 6.9 kB for each of a
picture's pixels, the decoder of Stable Diffusion 10 kB."""
SHARE = 0.8
"""Of the memory that is available, what may be filled."""


def suited_batch_size(plan: SamplingPlan) -> int:
    """A batch for which memory suffices: by a picture's size where that leaves no doubt, else as `diffloom plan` says.

    Planning takes a second or so, which is little where pictures are large, and much where they are small.
    """
    wanted, pipeline = min(LARGEST, len(plan.keys)), plan.pipeline
    available, info = available_bytes(pipeline.device), pipeline.document.image.info
    if available is None or wanted * BYTES_OF_A_PIXEL * info.height * info.width <= SHARE * available:
        return wanted
    from diffloom.planning.batch import bytes_of_batches

    base, each = bytes_of_batches(plan, most=wanted)
    return max(1, min(wanted, int((SHARE * available - base) // each)))
