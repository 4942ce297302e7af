"""Who computes attention: components `auto`, `sdpa` and `math`."""

from __future__ import annotations

from diffloom import Registrar, hookimpl
from diffloom_attention.components import SDPA, Auto, Math

__all__ = ["SDPA", "Auto", "Math"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the kernels of attention."""
    for kernel in (Auto, SDPA, Math):
        registrar.add(kernel)
