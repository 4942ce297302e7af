"""Oracle: the doubling and the convolution one after the other, and torch's count of operations."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from diffloom.nn import Upsample, doubled
from diffloom.nn.trained_doubling import FEWEST_PIXELS, convolved_doubled, trains_folded


def upsample(channels: int = 4) -> Upsample:
    torch.manual_seed(0)
    return Upsample(channels=channels)


def picture(batch: int = 2, channels: int = 4, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """As large as it takes, and not square."""
    generator = torch.Generator().manual_seed(1)
    height, width = 16, FEWEST_PIXELS // (16 * batch)
    return torch.randn(batch, channels, height, width, generator=generator, dtype=dtype).requires_grad_()


def grown(x: Tensor, conv: nn.Conv2d, *, folded: bool) -> list[Tensor]:
    """The output, and the gradients of an uneven sum of it."""
    out = convolved_doubled(x, conv) if folded else conv(doubled(x))
    (out * torch.linspace(-1, 1, out.numel(), dtype=x.dtype).view_as(out)).sum().backward()
    assert x.grad is not None
    assert conv.bias is not None
    found = [out.detach(), x.grad, conv.weight.grad, conv.bias.grad]
    x.grad = None
    conv.zero_grad()
    assert all(tensor is not None for tensor in found)
    return [tensor for tensor in found if tensor is not None]


# A tap's gradient sums 4,096 products: float64 leaves 1e-13 of it, float32 some 1e-6.
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_same_and_the_same_gradients(dtype: torch.dtype, rounding: float) -> None:
    conv, x = upsample().conv.to(dtype), picture(dtype=dtype)
    for one, other in zip(grown(x, conv, folded=True), grown(x, conv, folded=False), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=rounding * float(other.abs().max()))


def test_in_bf16_it_is_as_near_to_the_truth() -> None:
    """Of autocast, both ways: the root mean square of what bf16 rounds, which folded is less, as less is added up."""
    block, x = upsample(32), picture(channels=32)
    truth = grown(x.detach().double().requires_grad_(), copy.deepcopy(block.conv).double(), folded=False)
    errors = []
    for folded in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert trains_folded(block.conv, x)
            found = grown(x, block.conv, folded=folded)
        errors.append([float((a - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True)])
    for ours, plain in zip(*errors, strict=True):
        assert ours < 1.2 * plain < 0.01


def test_a_step_of_training_takes_four_ninths() -> None:
    block, x = upsample(), picture()
    counts = []
    for training in (True, False):
        block.train(training)
        with FlopCounterMode(display=False) as counter:
            block(x).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] * 9 == counts[1] * 4


def test_elsewhere_it_is_computed_plainly() -> None:
    """Small pictures, samples, autocast, frozen weights, and a convolution that somebody listens to."""
    block, x = upsample(), picture()
    assert trains_folded(block.conv, x)
    assert not trains_folded(block.conv, x[:, :, 1:])
    assert not trains_folded(upsample().requires_grad_(False).conv, x)
    assert not trains_folded(upsample().eval().conv, x)
    with torch.no_grad():
        assert not trains_folded(block.conv, x)
    with torch.autocast("cpu", dtype=torch.float16):
        assert not trains_folded(block.conv, x)
    calls: list[nn.Module] = []
    block.conv.register_forward_hook(lambda module, *_: calls.append(module))
    block(x)
    assert calls == [block.conv]
