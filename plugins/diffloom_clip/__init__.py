"""CLIP text encoders through open_clip."""

from diffloom import Registrar, hookimpl


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register them."""
