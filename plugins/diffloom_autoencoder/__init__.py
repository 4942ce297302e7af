"""Autoencoders as spaces: `autoencoder_kl`, `autoencoder_vq` and `tiny_autoencoder`."""

from diffloom import Registrar, hookimpl
from diffloom_autoencoder.kl import AutoencoderKL

__all__ = ["AutoencoderKL"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register them."""
    registrar.add(AutoencoderKL)
