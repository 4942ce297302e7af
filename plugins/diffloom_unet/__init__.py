"""U-Nets: components `unet` (Ho et al. 2020) and `cross_attention_unet` (Rombach et al. 2022), and their modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_unet.component import UNet
    from diffloom_unet.cross_attention import CrossAttentionUNet
    from diffloom_unet.cross_attention_model import CrossAttentionUNetModel
    from diffloom_unet.model import UNetModel

__all__ = ["CrossAttentionUNet", "CrossAttentionUNetModel", "UNet", "UNetModel"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "component": ["UNet"],
        "cross_attention": ["CrossAttentionUNet"],
        "cross_attention_model": ["CrossAttentionUNetModel"],
        "model": ["UNetModel"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the U-Nets."""
    registrar.add_lazily(
        "backbone",
        unet="diffloom_unet.component:UNet",
        cross_attention_unet="diffloom_unet.cross_attention:CrossAttentionUNet",
    )
