"""The pixel U-Net of Ho et al. 2020: component `unet`, and the plain module `UNetModel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_unet.component import UNet

if TYPE_CHECKING:
    from diffloom_unet.model import UNetModel

__all__ = ["UNet", "UNetModel"]

# These need torch, which registering must not import. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(__name__, submod_attrs={"model": ["UNetModel"]})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the U-Net."""
    registrar.add(UNet)
