"""Transformers and linear layers in the forms that draw samples. Oracle: the modules themselves."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from diffloom.condition import Condition
from diffloom.nn import GEGLU, Signal, SpatialTransformer, TransformerBlock, ready_tokens
from diffloom.nn.packed_linear import PackedLinear, linear_packing_fault, ready_linear
from diffloom.nn.ready_tokens import ReadyTransformerBlock, ready_transformer_block
from diffloom.nn.ready_transformer import ReadySpatialTransformer, ReadyTokenTransformer

packs = pytest.mark.skipif(
    linear_packing_fault(torch.float32) is not None, reason="oneDNN's operators are not in this torch"
)


# float32: a dozen layers of some hundred numbers of about 1, each summed in another order
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize(("projection", "depth"), [("conv", 1), ("linear", 2)])
@pytest.mark.parametrize("form", [ReadyTokenTransformer, ReadySpatialTransformer])
def test_the_same_result_and_gradient(
    form: type[nn.Module], projection: str, depth: int, dtype: torch.dtype, tolerance: float
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
    assert type(copy.deepcopy(plain).for_inference()) is ReadyTokenTransformer
    ready = form(copy.deepcopy(plain))
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


def test_in_half_precision_weights_are_packed() -> None:
    plain = SpatialTransformer(channels=8, token_width=4, norm_groups=4).bfloat16().requires_grad_(False)
    assert type(plain.for_inference()) is ReadySpatialTransformer


def test_blocks_that_hold_other_layers_keep_their_form() -> None:
    """Whoever put something in a layer's place has it called."""

    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    block = TransformerBlock(channels=8, token_width=4)
    assert type(ready_transformer_block(block)) is ReadyTransformerBlock
    block.attend.out = Doubled(8, 8)
    assert ready_transformer_block(block) is block


def test_a_block_takes_no_memory_but_for_what_it_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokens are overwritten, and of the feed-forward's hidden numbers, eight for each of a token's, no more are
    held than of the rows at once: 48 of 1024, so that the last are fewer.
    """
    monkeypatch.setattr(ready_tokens, "HIDDEN", 1)
    monkeypatch.setattr(ready_tokens, "ROWS", 48)
    feed, x = GEGLU(channels=32), torch.randn(2, 512, 32)
    wanted = x + feed(x)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.no_grad(), torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        found = ready_tokens.fed(x, x.clone(), feed)
    taken = sum(max(event.self_cpu_memory_usage, 0) for event in profile.key_averages())
    assert taken <= 4 * (x.numel() + 8 * 32 * 48) + 2**8
    assert found.data_ptr() == x.data_ptr()
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)


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
