"""diffusers' multistep schedulers in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers.schedulers import (
    scheduling_deis_multistep,
    scheduling_dpmsolver_multistep,
    scheduling_lms_discrete,
    scheduling_pndm,
    scheduling_unipc_multistep,
)


@pytest.fixture
def in_float64(doubled: Callable[[Any], None]) -> Iterator[None]:
    """Their float32 is float64, and so is the default, which IPNDMScheduler takes."""
    for module in (
        scheduling_lms_discrete,
        scheduling_deis_multistep,
        scheduling_dpmsolver_multistep,
        scheduling_pndm,
        scheduling_unipc_multistep,
    ):
        doubled(module)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
