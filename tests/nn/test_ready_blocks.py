"""Blocks in the forms that draw samples. Oracle: the blocks themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.nn import (
    Downsample,
    ResidualBlock,
    ScaleShiftResidualBlock,
    Signal,
    Upsample,
    doubled,
    halved,
    winograd,
)


def residual(block: type[ResidualBlock], out: int, resize: Callable[[Tensor], Tensor] | None) -> nn.Module:
    return block(in_channels=16, out_channels=out, emb_width=12, norm_groups=4, resize=resize)


BLOCKS = {
    "up": lambda: Upsample(channels=16),
    "down": lambda: Downsample(channels=16),
    "down, symmetric": lambda: Downsample(channels=16, padding="symmetric"),
    **{
        f"{block.__name__} to {out}, {getattr(resize, '__name__', 'same size')}": (
            lambda block=block, out=out, resize=resize: residual(block, out, resize)
        )
        for block in (ResidualBlock, ScaleShiftResidualBlock)
        for out in (16, 24)
        for resize in (None, halved, doubled)
    },
}


@pytest.fixture(params=list(BLOCKS))
def block(request: pytest.FixtureRequest) -> Any:
    """With weights that are neither 0 nor 1, in float64."""
    torch.manual_seed(0)
    made = BLOCKS[request.param]()
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made.double().eval().requires_grad_(False)


@pytest.fixture(params=["direct", "winograd"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "winograd":
        monkeypatch.setattr(winograd, "winograd_pays", lambda conv, threads: winograd.winograd_fits(conv))
        monkeypatch.setattr(winograd, "WORTHWHILE", 0)
    name: str = request.param
    return name


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_the_same_result(block: Any, way: str, rows: int, dtype: torch.dtype, tolerance: float) -> None:
    """In float32 some hundred numbers of about 1 are summed in another order, and normalised."""
    x, signal = torch.randn(2, 16, 6, 4, dtype=dtype), Signal(emb_BE=torch.randn(rows, 12, dtype=dtype))
    block.to(dtype)
    before, state = x.clone(), {name: value.clone() for name, value in block.state_dict().items()}
    expected = block(x, signal)
    ready = block.for_inference()
    assert type(ready) is not type(block)
    with torch.no_grad():
        for given in (x, x.to(memory_format=torch.channels_last)):
            torch.testing.assert_close(ready(given, signal), expected, rtol=0, atol=tolerance)
    assert torch.equal(x, before)
    assert all(torch.equal(value, state[name]) for name, value in block.state_dict().items())


def test_the_same_gradients(block: Any, way: str) -> None:
    """Of a picture and of an embedding: guidance goes through the network by them."""
    ready = block.for_inference()
    x, emb = torch.randn(2, 16, 6, 4, dtype=torch.float64), torch.randn(2, 12, dtype=torch.float64)
    found = []
    for form in (block, ready):
        leaves = x.clone().requires_grad_(), emb.clone().requires_grad_()
        out = form(leaves[0], Signal(emb_BE=leaves[1])).square().sum()
        found.append(torch.autograd.grad(out, leaves, allow_unused=True))
    for mine, own in zip(*found, strict=True):
        if mine is None:
            assert own is None
        else:
            torch.testing.assert_close(own, mine, rtol=0, atol=1e-10)


def test_what_was_projected_beforehand_is_taken() -> None:
    from diffloom.condition import Condition

    block = residual(ResidualBlock, 16, None).eval().for_inference()  # type: ignore[operator]
    x, emb = torch.randn(2, 16, 4, 4), torch.randn(1, 12)
    with torch.no_grad():
        expected = block(x, Signal(emb_BE=emb))
        memory = {(block, 3.0): (block.emb(emb),)}
        found = block(x, Signal(time=3.0, condition=Condition(memory=memory)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_block_of_another_class_keeps_its_form() -> None:
    """It may have overridden anything."""

    class Other(ResidualBlock):
        pass

    other = residual(Other, 16, None)
    assert other.for_inference() is other  # type: ignore[operator]
