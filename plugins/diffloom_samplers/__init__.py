"""Samplers that know one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_samplers.samplers import DDIMSampler, DDPMSampler

if TYPE_CHECKING:
    from diffloom_samplers.ddim import DDIM
    from diffloom_samplers.ddpm import DDPM

__all__ = ["DDIM", "DDPM", "DDIMSampler", "DDPMSampler"]

# These need torch, which registering must not import. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(__name__, submod_attrs={"ddim": ["DDIM"], "ddpm": ["DDPM"]})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the samplers."""
    for component in (DDPMSampler, DDIMSampler):
        registrar.add(component)
