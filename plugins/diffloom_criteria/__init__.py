"""Criteria: what an autoencoder is trained to. Components `lp`, `perceptual`, `patch_adversarial`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_criteria.criteria import Lp, PatchAdversarial, Perceptual

if TYPE_CHECKING:
    from diffloom_criteria.discriminator import PatchDiscriminator
    from diffloom_criteria.vgg import VGGDistance

__all__ = ["Lp", "PatchAdversarial", "PatchDiscriminator", "Perceptual", "VGGDistance"]

# These need torch, which registering must not import. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__, submod_attrs={"discriminator": ["PatchDiscriminator"], "vgg": ["VGGDistance"]}
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the criteria."""
    registrar.add(Lp)
    registrar.add(Perceptual)
    registrar.add(PatchAdversarial)
