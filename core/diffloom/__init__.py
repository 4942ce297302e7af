"""diffloom: diffusion models woven from plugins. Importing this does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

if TYPE_CHECKING:
    from diffloom.api import load, load_component
    from diffloom.hooks import RunInfo, hookimpl
    from diffloom.pipeline import Pipeline
    from diffloom.registrar import Registrar
    from diffloom.untrained import build

__all__ = ["Pipeline", "Registrar", "RunInfo", "__version__", "build", "hookimpl", "load", "load_component"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "api": ["load", "load_component"],
        "hooks": ["RunInfo", "hookimpl"],
        "pipeline": ["Pipeline"],
        "registrar": ["Registrar"],
        "untrained": ["build"],
    },
)
