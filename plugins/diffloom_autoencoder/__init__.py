"""Autoencoders as spaces: KL, VQ and tiny ones."""

from diffloom import Registrar, hookimpl


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register them."""
