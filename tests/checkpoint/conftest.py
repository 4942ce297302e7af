"""What the tests of checkpoints share: a small one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffloom.checkpoint import Header, save_checkpoint

Groups = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="session")
def groups() -> Groups:
    """Tensors of many types and shapes, an empty one and a number among them."""
    generator = torch.Generator().manual_seed(0)
    return {
        "weights": {
            "a.weight": torch.randn(3, 4, generator=generator),
            "a.bias": torch.randn(3, generator=generator),
        },
        "ema": {
            "a.weight": torch.randn(3, 4, generator=generator),
            "a.bias": torch.randn(3, generator=generator),
        },
        "frozen": {},
        "other": {
            "number": torch.tensor(7),
            "empty": torch.zeros(0, 2),
            "half": torch.randn(5, generator=generator).bfloat16(),
            "flags": torch.tensor([True, False]),
            "transposed": torch.randn(2, 3, generator=generator, dtype=torch.float64).T,
        },
    }


@pytest.fixture(scope="session")
def save(groups: Groups) -> Callable[[Path], Header]:
    """Writes it."""
    return lambda path: save_checkpoint(path, groups, step=12, config="image: {size: 8}\n")
