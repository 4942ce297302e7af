"""Oracle: the picture doubled, then convolved; the operations by torch's own counter."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from diffloom.nn import doubled, doubling

sides = st.integers(1, 9)


@given(
    rows_and_size=st.tuples(st.integers(1, 3), sides, sides),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    bias=st.booleans(),
    last=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=60)
def test_it_is_doubling_then_convolving(
    rows_and_size: tuple[int, int, int], channels: tuple[int, int], bias: bool, last: bool, seed: int
) -> None:
    """All sizes, odd ones and single pixels included, whose every pixel is a border; in both layouts."""
    torch.manual_seed(seed)
    rows, *size = rows_and_size
    layout = torch.channels_last if last else torch.contiguous_format
    conv = nn.Conv2d(*channels, 3, padding=1, bias=bias).double().to(memory_format=layout)
    x = torch.randn(rows, channels[0], *size, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    plain, folded = conv(doubled(x)), doubling(conv)(x)
    torch.testing.assert_close(folded, plain, rtol=0, atol=1e-12)
    direction = torch.randn_like(plain)
    slopes = [torch.autograd.grad((out * direction).sum(), x)[0] for out in (folded, plain)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)


def test_float32_is_as_near_to_the_truth_as_the_plain_way() -> None:
    """Both sum some 9 · 64 products; the folded taps are rounded once more, by half a unit in their last place."""
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 32, 3, padding=1)
    x = torch.randn(2, 64, 7, 5)
    truth = nn.functional.conv2d(
        doubled(x.double()), conv.weight.double(), conv.bias.double(), padding=1
    ).detach()  # type: ignore[union-attr]
    plain, folded = (
        (out - truth).abs().max().item() for out in (conv(doubled(x)).detach(), doubling(conv)(x).detach())
    )
    assert folded < 2 * plain < 1e-5


def test_it_does_four_ninths_of_the_work() -> None:
    conv, x = nn.Conv2d(4, 6, 3, padding=1), torch.randn(1, 4, 8, 8)
    with FlopCounterMode(display=False) as plain:
        conv(doubled(x))
    with FlopCounterMode(display=False) as folded:
        doubling(conv)(x)
    assert 9 * folded.get_total_flops() == 4 * plain.get_total_flops() > 0


def test_the_convolution_is_left_as_it_was() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    before = {name: value.clone() for name, value in conv.state_dict().items()}
    doubling(conv)
    assert conv.weight.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in conv.state_dict().items())
