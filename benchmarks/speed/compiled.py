"""The peer compiled as a whole, as its users compile it."""

from __future__ import annotations

from typing import Any

import torch


def compiled(network: Any, device: torch.device) -> Any:
    """By torch.compile; on CUDA with its launches recorded in CUDA graphs."""
    return torch.compile(network, mode="reduce-overhead" if device.type == "cuda" else None)
