"""Half precision. Oracle: the same weights in float32.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import ImageInfo
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ

PARTS = {
    "KL": AutoencoderKL(channels=(8, 16), norm_groups=4, blocks_per_level=1),
    "KL in windows": AutoencoderKL(channels=(8, 16), norm_groups=4, blocks_per_level=1, tile=3),
    "VQ": AutoencoderVQ(channels=(8, 16), norm_groups=4, blocks_per_level=1, codebook=16),
}
IMAGE = ImageInfo(16, 16, 3)


@pytest.fixture
def make(scattered: Callable[[nn.Module], nn.Module]) -> Callable[[str], tuple[Any, Any]]:
    """A codec in float16 whose finest levels work on numbers above 65504, and the same in float32.

    The weights themselves are within range, and so is what comes out, for normalisations stand behind.
    """

    def both(word: str) -> tuple[Any, Any]:
        torch.manual_seed(0)
        half = scattered(PARTS[word].build(image=IMAGE))
        with torch.no_grad():
            half.encoder.stages[0].parts[0].weight.mul_(6e4)
            half.decoder.stages[1].parts[0].conv.weight.mul_(1e5)
        half = half.half()
        assert all(weight.isfinite().all() for weight in half.parameters())
        exact = PARTS[word].build(image=IMAGE).eval()
        exact.load_state_dict(half.state_dict())
        return half, exact

    return both


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("word", PARTS)
@torch.no_grad()
def test_what_overflows_is_computed_in_float32(
    word: str, make: Callable[[str], tuple[Any, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    half, exact = make(word)
    images = torch.randn(2, 3, 16, 16).sign()
    x_BCHW = exact.encode(images)
    pictures = exact.decode(x_BCHW)
    assert not half.encoder(images.half()).isfinite().all()
    assert not half.decoder(x_BCHW.half()).isfinite().all()
    torch.testing.assert_close(half.encode(images), x_BCHW, rtol=0, atol=1e-5)
    torch.testing.assert_close(half.decode(x_BCHW), pictures, rtol=0, atol=1e-5 * pictures.abs().max().item())
    (told,) = warnings(caplog)
    assert "float16" in told
    assert "float32" in told
    assert {weight.dtype for weight in half.parameters()} == {torch.float16}


@torch.no_grad()
def test_a_picture_that_fits_keeps_its_numbers(make: Callable[[str], tuple[Any, Any]]) -> None:
    """Whatever stands beside it."""
    half, exact = make("KL")
    faint, strong = 1e-3 * torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16).sign()
    alone = half.encoder(faint.half())[:, :4]
    assert alone.isfinite().all()
    x_BCHW = half.encode(torch.cat([strong, faint]))
    assert torch.equal(x_BCHW[1:], half.encode(faint))
    assert torch.equal(x_BCHW[1:], alone.float())
    torch.testing.assert_close(x_BCHW[:1], exact.encode(strong), rtol=0, atol=1e-5)


@torch.no_grad()
def test_nothing_is_told_of_what_fits(
    scattered: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    exact = scattered(PARTS["KL"].build(image=IMAGE))
    half = PARTS["KL"].build(image=IMAGE).half().eval()
    half.load_state_dict(exact.state_dict())
    images = torch.randn(2, 3, 16, 16).tanh()
    x_BCHW = half.encode(images)
    assert x_BCHW.dtype == torch.float32  # as the pictures are
    assert half.encode(images.half()).dtype == torch.float16
    # 11 bits of mantissa: 5e-4 each layer, some fifteen layers deep
    assert (x_BCHW - exact.encode(images)).abs().max() < 0.01 * x_BCHW.abs().max()
    assert warnings(caplog) == []


@torch.no_grad()
def test_autocast_overflows_too(
    make: Callable[[str], tuple[Any, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    _, exact = make("KL")
    x_BCHW = torch.randn(1, 4, 8, 8)
    expected = exact.decode(x_BCHW)
    with torch.autocast("cpu", dtype=torch.float16):
        assert not exact.decoder(x_BCHW).isfinite().all()
        made: Tensor = exact.decode(x_BCHW)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    assert len(warnings(caplog)) == 1


@torch.no_grad()
def test_numbers_that_are_no_numbers_stay_so(make: Callable[[str], tuple[Any, Any]]) -> None:
    """float32 is tried once, and what is still not finite is not hidden."""
    half, _ = make("KL")
    assert half.decode(torch.full((1, 4, 4, 4), float("nan"))).isnan().all()
