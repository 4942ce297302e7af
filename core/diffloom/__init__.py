"""diffloom: diffusion models woven from plugins. Importing this does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from diffloom.api import build, load
    from diffloom.hooks import hookimpl
    from diffloom.pipeline import Pipeline
    from diffloom.registrar import Registrar

__all__ = ["Pipeline", "Registrar", "__version__", "build", "hookimpl", "load"]

_HOMES = {
    "Pipeline": "diffloom.pipeline",
    "Registrar": "diffloom.registrar",
    "build": "diffloom.api",
    "load": "diffloom.api",
    "hookimpl": "diffloom.hooks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'diffloom' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
