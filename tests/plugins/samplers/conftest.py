"""diffusers' schedulers in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers import (
    scheduling_ddim,
    scheduling_ddpm,
    scheduling_dpmsolver_singlestep,
    scheduling_euler_ancestral_discrete,
    scheduling_euler_discrete,
    scheduling_heun_discrete,
    scheduling_k_dpm_2_ancestral_discrete,
    scheduling_k_dpm_2_discrete,
)

MODULES = (
    scheduling_ddim,
    scheduling_ddpm,
    scheduling_dpmsolver_singlestep,
    scheduling_euler_ancestral_discrete,
    scheduling_euler_discrete,
    scheduling_heun_discrete,
    scheduling_k_dpm_2_ancestral_discrete,
    scheduling_k_dpm_2_discrete,
)


class _Double:
    """A module, except that its float32 is float64."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.float32 = module.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own classes compute in float64 where they name float32."""
    for module in MODULES:
        for name, library in (("torch", torch), ("np", np)):
            monkeypatch.setattr(module, name, _Double(library))
