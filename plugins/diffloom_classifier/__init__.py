"""Guidance by a classifier of noisy pictures: component `classifier`, and for any other one `ClassifierGuide`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_classifier.component import ClassifierGuidance
    from diffloom_classifier.guide import ClassifierGuide
    from diffloom_classifier.network import EncoderClassifier

__all__ = ["ClassifierGuidance", "ClassifierGuide", "EncoderClassifier"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "component": ["ClassifierGuidance"],
        "guide": ["ClassifierGuide"],
        "network": ["EncoderClassifier"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register classifier guidance."""
    registrar.add_lazily("guidance", classifier="diffloom_classifier.component:ClassifierGuidance")
