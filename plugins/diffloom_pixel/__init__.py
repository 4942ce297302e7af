"""Pixel space: diffusion on the picture itself."""

from typing import Any

from diffloom import hookimpl
from diffloom_pixel.space import Pixel

__all__ = ["Pixel"]


@hookimpl
def diffloom_register(registrar: Any) -> None:
    """Register the pixel space."""
    registrar.add(Pixel)
