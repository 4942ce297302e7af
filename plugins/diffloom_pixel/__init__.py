"""Pixel space: diffusion on the picture itself."""

from diffloom import Registrar, hookimpl
from diffloom_pixel.space import Pixel

__all__ = ["Pixel"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the pixel space."""
    registrar.add(Pixel)
