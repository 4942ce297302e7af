"""Guidance: steering the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffloom import Registrar, hookimpl
from diffloom_guidance.guidances import ClassifierFreeGuidance

if TYPE_CHECKING:
    from diffloom_guidance.classifier_free import ClassifierFree

__all__ = ["ClassifierFree", "ClassifierFreeGuidance"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register classifier-free guidance."""
    registrar.add(ClassifierFreeGuidance)


def __getattr__(name: str) -> Any:
    """The guide, on first use: it needs torch."""
    if name != "ClassifierFree":
        raise AttributeError(f"module 'diffloom_guidance' has no attribute {name!r}")
    from diffloom_guidance.classifier_free import ClassifierFree

    return ClassifierFree
