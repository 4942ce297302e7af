"""Guidance: steering the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_guidance.guidances import ClassifierFreeGuidance

if TYPE_CHECKING:
    from diffloom_guidance.classifier_free import ClassifierFree

__all__ = ["ClassifierFree", "ClassifierFreeGuidance"]

# These need torch, which registering must not import. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(__name__, submod_attrs={"classifier_free": ["ClassifierFree"]})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register classifier-free guidance."""
    registrar.add(ClassifierFreeGuidance)
