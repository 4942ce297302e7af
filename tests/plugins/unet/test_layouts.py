"""A step of a network made ready copies no picture to lay it out anew. Oracle: every operation asked of torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
from diffloom_unet import CrossAttentionUNetModel, UNetModel
from diffloom_unet.network import Network

COPIES = {"aten.clone", "aten.copy_", "aten._to_copy", "aten.contiguous"}
SMALL: dict[str, Any] = {"channels": (16, 32), "blocks_per_level": 1, "norm_groups": 4, "in_channels": 3}
TRANSFORMERS = 3
"""Of the second network: at its coarser level one down and two up; the middle's is one more."""


class Layouts(TorchDispatchMode):
    """Counts what copies, and the pictures made that do not lie pixel by pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: Counter[str] = Counter()
        self.otherwise: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = str(func.overloadpacket)
        if name in COPIES:
            self.copies[name] += 1
        made = out[0] if isinstance(out, tuple) else out
        is_picture = isinstance(made, Tensor) and made.dim() == 4 and made.shape[1] in (16, 32, 48, 64)
        if is_picture and not func.is_view and not made.is_contiguous(memory_format=torch.channels_last):
            self.otherwise.append(name)
        return out


@pytest.mark.parametrize(
    ("build", "fresh"),
    [
        (lambda: UNetModel(attention_levels=(1,), **SMALL), 0),
        (lambda: UNetModel(attention_levels=(), resample="residual", embedding="scale_shift", **SMALL), 0),
        # what a transformer is added to is others' too, so that each adds in memory of its own
        (
            lambda: CrossAttentionUNetModel(token_width=6, transformer_depth=(0, 1), heads=2, **SMALL),
            TRANSFORMERS + 1,
        ),
    ],
    ids=["attention", "residual", "tokens"],
)
@torch.no_grad()
def test_a_step_lays_nothing_out_anew(
    build: Callable[[], Network], fresh: int, shaken: Callable[[Network], Network]
) -> None:
    torch.manual_seed(0)
    network = shaken(build())
    ready = ReadyNetworks().of(network, precision="fp32")
    tokens = torch.randn(2, 5, 6) if "tokens_BLD" in network.slots else None
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    prepared = ready.prepare(Condition(tokens_BLD=tokens), [30.0])
    ready(x, torch.full((2,), 30.0), prepared)
    with Layouts() as mode:
        ready(x, torch.full((2,), 30.0), prepared)
    assert mode.otherwise == []
    assert mode.copies == Counter({"aten.clone": fresh} if fresh else {})
    with Layouts() as plain:
        network(x.contiguous(), torch.full((2,), 30.0), Condition(tokens_BLD=tokens))
    assert plain.otherwise, "the oracle sees another layout"
