"""Who computes attention: components `auto`, `sdpa`, `xformers` and `math`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_attention.components import SDPA, Auto, Math, XFormers

__all__ = ["SDPA", "Auto", "Math", "XFormers"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__, submod_attrs={"components": ["Auto", "Math", "SDPA", "XFormers"]}
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the kernels of attention."""
    registrar.add_lazily(
        "attention",
        auto="diffloom_attention.components:Auto",
        sdpa="diffloom_attention.components:SDPA",
        xformers="diffloom_attention.components:XFormers",
        math="diffloom_attention.components:Math",
    )
