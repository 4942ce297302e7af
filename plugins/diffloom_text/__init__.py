"""The words of a prompt through a transformer that is trained with the denoiser: component `transformer_text`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_text.component import TransformerText
    from diffloom_text.transformer import TextTransformer

__all__ = ["TextTransformer", "TransformerText"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "component": ["TransformerText"],
        "transformer": ["TextTransformer"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the text conditioner."""
    registrar.add_lazily("conditioner", transformer_text="diffloom_text.component:TransformerText")
