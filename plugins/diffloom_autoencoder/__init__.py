"""Autoencoders as spaces: `autoencoder_kl`, `autoencoder_vq` and `tiny_autoencoder`."""

from diffloom import Registrar, hookimpl
from diffloom_autoencoder.kl import AutoencoderKL
from diffloom_autoencoder.tiny import TinyAutoencoder
from diffloom_autoencoder.vq import AutoencoderVQ

__all__ = ["AutoencoderKL", "AutoencoderVQ", "TinyAutoencoder"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register them."""
    registrar.add(AutoencoderKL)
    registrar.add(AutoencoderVQ)
    registrar.add(TinyAutoencoder)
