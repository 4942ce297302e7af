"""Libraries that not everybody has."""

from __future__ import annotations

import importlib
from types import ModuleType

from diffloom.errors import DiffloomError


def library(module: str, *, place: str, install: str) -> ModuleType:
    """The library that `place` of a configuration needs. Raises DiffloomError saying how to install it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise  # it is there, and lacks something itself
        raise DiffloomError(
            f"{place}: needs {module}, which is not installed; `{install}` brings it"
        ) from error
