"""Pictures, and their sizes, as conditions."""

from diffloom import Registrar, hookimpl


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register them."""
