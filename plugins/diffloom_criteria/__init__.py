"""Criteria: the terms of an autoencoder's loss."""

from diffloom import Registrar, hookimpl


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register them."""
