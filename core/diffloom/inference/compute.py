"""What a network computes in, chosen for a device before the first call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """How a network computes."""

    dtype: torch.dtype
    """Of its weights and activations; what matters stays in float32."""
    channels_last: bool = False
    """Whether pictures lie in memory pixel by pixel."""
    tf32: bool = False
    """Whether NVIDIA GPUs round the factors of float32 products."""


def chosen_compute(precision: Precision, network: nn.Module) -> Compute:
    """How this network computes where it is."""
    own = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
    return Compute(dtype=DTYPES.get(precision, own), tf32=precision == "tf32")
