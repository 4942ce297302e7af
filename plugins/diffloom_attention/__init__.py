"""Who computes attention: components `auto`, `sdpa`, `xformers` and `math`."""

from __future__ import annotations

from diffloom import Registrar, hookimpl
from diffloom_attention.components import SDPA, Auto, Math, XFormers

__all__ = ["SDPA", "Auto", "Math", "XFormers"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the kernels of attention."""
    for kernel in (Auto, SDPA, XFormers, Math):
        registrar.add(kernel)
