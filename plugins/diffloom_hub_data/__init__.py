"""Data that Hugging Face"s library `datasets` reads: tables, shards, folders and the hub, held or streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_hub_data.component import HuggingFace

__all__ = ["HuggingFace"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(__name__, submod_attrs={"component": ["HuggingFace"]})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the data source."""
    registrar.add_lazily("data", hugging_face="diffloom_hub_data.component:HuggingFace")
