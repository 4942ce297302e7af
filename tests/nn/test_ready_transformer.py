"""Transformers and linear layers in the forms that draw samples. Oracle: the modules themselves."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from diffloom.condition import Condition
from diffloom.nn import Signal, SpatialTransformer
from diffloom.nn.packed_linear import PackedLinear, linear_packing_fault, ready_linear

packs = pytest.mark.skipif(
    linear_packing_fault(torch.float32) is not None, reason="oneDNN's operators are not in this torch"
)


# float32: a dozen layers of some hundred numbers of about 1, each summed in another order
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize(("projection", "depth"), [("conv", 1), ("linear", 2)])
def test_the_same_result_and_gradient(
    projection: str, depth: int, dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    plain = SpatialTransformer(
        channels=24,
        token_width=10,
        depth=depth,
        heads=3,
        projection=projection,  # type: ignore[arg-type]
        norm_groups=4,
    )
    for parameter in plain.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    plain = plain.to(dtype).eval().requires_grad_(False)
    ready = copy.deepcopy(plain).for_inference()
    assert type(ready) is not SpatialTransformer
    x = torch.randn(2, 24, 3, 5, dtype=dtype)
    signal = Signal(condition=Condition(tokens_BLD=torch.randn(2, 6, 10, dtype=dtype)))
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    outs = [form(leaf, signal) for form, leaf in zip((plain, ready), leaves, strict=True)]
    slopes = [
        torch.autograd.grad(out.square().sum(), leaf)[0] for out, leaf in zip(outs, leaves, strict=True)
    ]
    torch.testing.assert_close(*slopes, rtol=0, atol=100 * tolerance)
    before = x.clone()
    with torch.no_grad():
        for given in (x, x.to(memory_format=torch.channels_last)):
            torch.testing.assert_close(ready(given, signal), outs[0].detach(), rtol=0, atol=10 * tolerance)
    assert torch.equal(x, before)


@packs
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 12), (2, 5, 12), (1, 12)])
def test_a_packed_linear_layer(bias: bool, shape: tuple[int, ...]) -> None:
    """A dozen products of about 1, in another order."""
    torch.manual_seed(0)
    linear = nn.Linear(12, 20, bias=bias).requires_grad_(False)
    packed, x = PackedLinear(linear), torch.randn(*shape)
    with torch.no_grad():
        torch.testing.assert_close(packed(x), linear(x), rtol=0, atol=2e-6)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(packed(leaf).sum(), leaf)
    torch.testing.assert_close(slope, linear.weight.sum(0).expand(*shape), rtol=0, atol=2e-6)


def test_a_layer_in_float64_stays_plain() -> None:
    linear = nn.Linear(4, 4).double()
    assert ready_linear(linear) is linear


@packs
def test_rows_that_are_views_are_multiplied_too() -> None:
    """Tokens of a picture that lies channel by channel are not next to each other."""
    torch.manual_seed(0)
    linear, x = nn.Linear(12, 20).requires_grad_(False), torch.randn(2, 12, 5).transpose(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(PackedLinear(linear)(x), linear(x), rtol=0, atol=2e-6)
