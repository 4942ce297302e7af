"""Class labels as a condition."""

from typing import Any

from diffloom import hookimpl
from diffloom_labels.conditioner import ClassLabel

__all__ = ["ClassLabel"]


@hookimpl
def diffloom_register(registrar: Any) -> None:
    """Register the class-label conditioner."""
    registrar.add(ClassLabel)
