"""U-Nets: components `unet` (Ho et al. 2020) and `cross_attention_unet` (Rombach et al. 2022), and their modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_unet.component import UNet
from diffloom_unet.cross_attention import CrossAttentionUNet

if TYPE_CHECKING:
    from diffloom_unet.cross_attention_model import CrossAttentionUNetModel
    from diffloom_unet.model import UNetModel

__all__ = ["CrossAttentionUNet", "CrossAttentionUNetModel", "UNet", "UNetModel"]

# These need torch, which registering must not import. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={"model": ["UNetModel"], "cross_attention_model": ["CrossAttentionUNetModel"]},
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the U-Nets."""
    registrar.add(UNet)
    registrar.add(CrossAttentionUNet)
