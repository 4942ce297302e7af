"""Prompts as a condition, through the text encoders of CLIP: component `clip_text`, by open_clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_clip.architecture import HubTokenizer, TextArchitecture
    from diffloom_clip.clip_encoder import ClipEncoder
    from diffloom_clip.component import ClipText
    from diffloom_clip.encoder import ClipTextEncoder
    from diffloom_clip.tower import ClipTower, Reading
    from diffloom_clip.words import ClipWords, HubWords

__all__ = [
    "ClipEncoder",
    "ClipText",
    "ClipTextEncoder",
    "ClipTower",
    "ClipWords",
    "HubTokenizer",
    "HubWords",
    "Reading",
    "TextArchitecture",
]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "architecture": ["HubTokenizer", "TextArchitecture"],
        "clip_encoder": ["ClipEncoder"],
        "component": ["ClipText"],
        "encoder": ["ClipTextEncoder"],
        "tower": ["ClipTower", "Reading"],
        "words": ["ClipWords", "HubWords"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the CLIP text conditioner."""
    registrar.add_lazily("conditioner", clip_text="diffloom_clip.component:ClipText")
