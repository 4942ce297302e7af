"""Peers made to compute in float64, where differences of method show and rounding does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch


class Double:
    """A module, except that its float32 is float64."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.float32 = module.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@pytest.fixture
def doubled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Makes a peer's module compute in float64 where it names float32."""

    def patch(module: Any) -> None:
        for name, library in (("torch", torch), ("np", np)):
            monkeypatch.setattr(module, name, Double(library), raising=False)

    return patch
