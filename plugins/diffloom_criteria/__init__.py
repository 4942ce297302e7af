"""Criteria: what an autoencoder is trained to. Components `lp`, `perceptual`, `patch_adversarial`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_criteria.criteria import Lp, PatchAdversarial, Perceptual
    from diffloom_criteria.discriminator import PatchDiscriminator
    from diffloom_criteria.vgg import VGGDistance

__all__ = ["Lp", "PatchAdversarial", "PatchDiscriminator", "Perceptual", "VGGDistance"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "criteria": ["Lp", "PatchAdversarial", "Perceptual"],
        "discriminator": ["PatchDiscriminator"],
        "vgg": ["VGGDistance"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the criteria."""
    registrar.add_lazily(
        "criterion",
        lp="diffloom_criteria.criteria:Lp",
        perceptual="diffloom_criteria.criteria:Perceptual",
        patch_adversarial="diffloom_criteria.criteria:PatchAdversarial",
    )
