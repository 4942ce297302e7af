"""Class labels as a condition."""

from diffloom import Registrar, hookimpl
from diffloom_labels.conditioner import ClassLabel

__all__ = ["ClassLabel"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the class-label conditioner."""
    registrar.add(ClassLabel)
