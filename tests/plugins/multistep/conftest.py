"""diffusers' multistep schedulers in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers import (
    scheduling_deis_multistep,
    scheduling_dpmsolver_multistep,
    scheduling_lms_discrete,
    scheduling_pndm,
    scheduling_unipc_multistep,
)


class Double:
    """A module, except that its float32 is float64."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.float32 = module.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Their float32 is float64, and so is the default, which IPNDMScheduler takes."""
    for module in (
        scheduling_lms_discrete,
        scheduling_deis_multistep,
        scheduling_dpmsolver_multistep,
        scheduling_pndm,
        scheduling_unipc_multistep,
    ):
        monkeypatch.setattr(module, "torch", Double(torch))
        monkeypatch.setattr(module, "np", Double(np))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
