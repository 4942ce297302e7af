"""The pixel U-Net of Ho et al. 2020: component `unet`, and the plain module `UNetModel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffloom import Registrar, hookimpl
from diffloom_unet.component import UNet

if TYPE_CHECKING:
    from diffloom_unet.model import UNetModel

__all__ = ["UNet", "UNetModel"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the U-Net."""
    registrar.add(UNet)


def __getattr__(name: str) -> Any:
    if name != "UNetModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from diffloom_unet.model import UNetModel  # needs torch, which registering must not import

    return UNetModel
