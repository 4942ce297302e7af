"""A small transformer over the words of a prompt, trained with the denoiser."""

from diffloom import Registrar, hookimpl


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register them."""
