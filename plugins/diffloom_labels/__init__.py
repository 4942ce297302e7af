"""Class labels as a condition."""

from diffloom import Registrar, hookimpl
from diffloom_labels.conditioner import ClassLabel
from diffloom_labels.token import ClassToken

__all__ = ["ClassLabel", "ClassToken"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the class-label conditioners."""
    registrar.add(ClassLabel)
    registrar.add(ClassToken)
