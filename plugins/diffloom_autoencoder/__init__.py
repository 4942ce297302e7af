"""Autoencoders as spaces: `autoencoder_kl`, `autoencoder_vq` and `tiny_autoencoder`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_autoencoder.kl import AutoencoderKL
    from diffloom_autoencoder.tiny import TinyAutoencoder
    from diffloom_autoencoder.vq import AutoencoderVQ

__all__ = ["AutoencoderKL", "AutoencoderVQ", "TinyAutoencoder"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "kl": ["AutoencoderKL"],
        "tiny": ["TinyAutoencoder"],
        "vq": ["AutoencoderVQ"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register them."""
    registrar.add_lazily(
        "space",
        autoencoder_kl="diffloom_autoencoder.kl:AutoencoderKL",
        autoencoder_vq="diffloom_autoencoder.vq:AutoencoderVQ",
        tiny_autoencoder="diffloom_autoencoder.tiny:TinyAutoencoder",
    )
