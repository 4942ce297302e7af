"""diffusers' schedulers in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
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


@pytest.fixture
def in_float64(doubled: Callable[[Any], None]) -> None:
    """Their own classes compute in float64 where they name float32."""
    for module in MODULES:
        doubled(module)
