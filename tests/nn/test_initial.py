"""What starts at zero, and what that costs. Oracles: torch's layers, its generator, and what it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from diffloom.bridge.empty import empty_weights
from diffloom.nn import ResidualBlock, SelfAttention, zeroed


class Drawn(TorchDispatchMode):
    """How many numbers torch's generator is asked for."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == torch.ops.aten.uniform_.default:
            self.numbers += args[0].numel()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "make", [nn.Linear, partial(nn.Conv2d, kernel_size=3, padding=1, dtype=torch.float64)]
)
def test_zeroed_is_the_layer_with_zeros_in_it(make: Callable[..., nn.Module], bias: bool) -> None:
    plain, layer = make(3, 4, bias=bias), zeroed(make, 3, 4, bias=bias)
    for weight in plain.parameters():
        nn.init.zeros_(weight)
    assert repr(layer) == repr(plain)
    torch.testing.assert_close(layer.state_dict(), plain.state_dict(), rtol=0, atol=0)
    assert all(weight.requires_grad for weight in layer.parameters())


def test_zeros_are_not_drawn_first() -> None:
    """Neither torch's generator nor the layers after it notice them: as many numbers are drawn as are not zero."""
    state = torch.get_rng_state()
    zeroed(nn.Conv2d, 3, 4, 3)
    assert torch.equal(torch.get_rng_state(), state)
    with Drawn() as drawn:
        block = ResidualBlock(in_channels=8, out_channels=8, emb_width=6, norm_groups=2)
    written = sum(part.numel() for layer in (block.conv1, block.emb) for part in layer.parameters())
    assert drawn.numbers == written
    assert not any(weight.any() for weight in block.conv2.parameters())


def test_zeros_are_where_the_rest_of_a_network_is() -> None:
    with torch.device("meta"):
        assert zeroed(nn.Linear, 3, 4).weight.is_meta
    with empty_weights():
        assert zeroed(nn.Linear, 3, 4).weight.is_meta


def test_fused_projections_start_as_separate_ones() -> None:
    """PyTorch's uniform weights have variance 1 / (3 · fan_in), which stacking along the output leaves alone."""
    torch.manual_seed(0)
    for part in SelfAttention(channels=256).qkv.weight.chunk(3):
        # 65,536 uniform draws: their variance's relative standard error is √(0.8 / 65536) = 0.35 %
        assert part.var().item() == pytest.approx(1 / (3 * 256), rel=0.02)
