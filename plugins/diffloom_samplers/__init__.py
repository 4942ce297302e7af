"""Samplers, and the times they visit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffloom import Registrar, hookimpl
from diffloom_samplers.samplers import DDIMSampler, DDPMSampler
from diffloom_samplers.spacings import Leading, Linspace, Trailing

if TYPE_CHECKING:
    from diffloom_samplers.ddim import DDIM
    from diffloom_samplers.ddpm import DDPM

__all__ = ["DDIM", "DDPM", "DDIMSampler", "DDPMSampler", "Leading", "Linspace", "Trailing"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the samplers and the spacings."""
    for component in (DDPMSampler, DDIMSampler, Leading, Trailing, Linspace):
        registrar.add(component)


def __getattr__(name: str) -> Any:
    """The walks, on first use: they need torch."""
    if name not in ("DDIM", "DDPM"):
        raise AttributeError(f"module 'diffloom_samplers' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"diffloom_samplers.{name.lower()}"), name)
