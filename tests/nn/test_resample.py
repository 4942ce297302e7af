"""Oracles: diffusers' `Downsample2D` and `Upsample2D`, and kernels whose effect can be written down."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D

from diffloom.nn import Downsample, Upsample, doubled, halved


def only_the_centre(conv: torch.nn.Conv2d) -> None:
    """A kernel that copies the pixel under its centre."""
    torch.nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        torch.nn.init.zeros_(conv.bias)
    for channel in range(conv.out_channels):
        conv.weight.data[channel, channel, 1, 1] = 1.0


@pytest.mark.parametrize(("padding", "theirs_padding"), [("asymmetric", 0), ("symmetric", 1)])
def test_downsample_equals_diffusers(padding: str, theirs_padding: int) -> None:
    torch.manual_seed(0)
    theirs = Downsample2D(6, use_conv=True, padding=theirs_padding, name="op").double()
    ours = Downsample(channels=6, padding=padding).double()  # type: ignore[arg-type]
    ours.conv.load_state_dict(theirs.conv.state_dict())
    x = torch.randn(2, 6, 8, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("padding", "first"), [("asymmetric", 1), ("symmetric", 0)])
def test_paddings_differ_by_a_pixel(padding: str, first: int) -> None:
    module = Downsample(channels=2, padding=padding)  # type: ignore[arg-type]
    only_the_centre(module.conv)
    x = torch.randn(1, 2, 6, 8)
    assert torch.equal(module(x), x[:, :, first::2, first::2])


def test_upsample_equals_diffusers() -> None:
    torch.manual_seed(0)
    theirs = Upsample2D(6, use_conv=True).double()
    ours = Upsample(channels=6).double()
    ours.conv.load_state_dict(theirs.conv.state_dict())
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


def test_upsample_doubles_every_pixel() -> None:
    module = Upsample(channels=2)
    only_the_centre(module.conv)
    x = torch.randn(1, 2, 3, 4)
    assert torch.equal(module(x), x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


def test_halved_is_the_mean_and_undoes_doubled() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    means = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(halved(x), means, rtol=0, atol=1e-15)
    torch.testing.assert_close(halved(doubled(x)), x, rtol=0, atol=1e-15)
    assert torch.equal(doubled(x), x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
