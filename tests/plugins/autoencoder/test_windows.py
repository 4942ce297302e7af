"""Computing by windows and by rows. Oracles: the same network on the whole; the bytes it holds, counted.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from diffloom.kinds import ImageInfo
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, TinyAutoencoder
from diffloom_autoencoder.autoencoder import Autoencoder
from diffloom_autoencoder.moments import Moments

IMAGE = ImageInfo(64, 64, 3)
PARTS: dict[str, Autoencoder] = {
    "KL": AutoencoderKL(channels=(8, 8, 8), norm_groups=4, blocks_per_level=1),
    "KL that attends": AutoencoderKL(
        channels=(4, 4, 8), norm_groups=2, attention_levels=(1,), blocks_per_level=2
    ),
    "VQ": AutoencoderVQ(channels=(8, 8), norm_groups=2, codebook=16),
    "tiny": TinyAutoencoder(channels=8, blocks=(1, 2, 1)),
    "tiny, pooled": TinyAutoencoder(channels=8, blocks=(1, 1, 2), pooled_middle=True),
}


def twins(part: Autoencoder, scattered: Callable[[nn.Module], nn.Module], **fields: Any) -> tuple[Any, Any]:
    """The codec as it is, and with these fields."""
    torch.manual_seed(0)
    plain = scattered(part.build(image=IMAGE)).double()
    other = part.model_copy(update=fields).build(image=IMAGE).double().eval()
    other.load_state_dict(plain.state_dict())
    return plain, other


def error(ours: Tensor, whole: Tensor) -> float:
    assert ours.shape == whole.shape
    return ((ours - whole).abs().max() / whole.std()).item()


@pytest.mark.parametrize("word", PARTS)
@given(tile=st.integers(1, 5), height=st.integers(1, 8), width=st.integers(1, 8))
@settings(max_examples=6)
def test_windows_change_nothing(
    word: str, tile: int, height: int, width: int, scattered: Callable[[nn.Module], nn.Module]
) -> None:
    """To float64's last digits: no seams, whatever the windows, normalisations and attention included."""
    part = PARTS[word]
    plain, windowed = twins(part, scattered, tile=tile)
    images = torch.randn(2, 3, height * part.factor, width * part.factor, dtype=torch.float64).tanh()
    with torch.no_grad():
        x_BCHW = plain.encode(images)
        assert error(windowed.encode(images), x_BCHW) < 1e-12
        assert error(windowed.decode(x_BCHW), plain.decode(x_BCHW)) < 1e-12


def test_windows_in_float32_differ_by_rounding(scattered: Callable[[nn.Module], nn.Module]) -> None:
    """A picture of range 2 stays far within 1/255 of its range."""
    plain, windowed = (m.float() for m in twins(PARTS["tiny, pooled"], scattered, tile=3))
    x_BCHW = torch.randn(1, 4, 16, 16)
    with torch.no_grad():
        assert (windowed.decode(x_BCHW) - plain.decode(x_BCHW)).abs().max() < 2 / 255 / 100


def test_gradients_pass_windows(scattered: Callable[[nn.Module], nn.Module]) -> None:
    plain, windowed = twins(PARTS["KL"], scattered, tile=3)
    x_BCHW = torch.randn(1, 4, 8, 8, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    whole, parts = (
        torch.autograd.grad((codec.decode(x_BCHW) * weights).sum(), x_BCHW)[0] for codec in (plain, windowed)
    )
    assert error(parts, whole) < 1e-11


@pytest.mark.parametrize("word", ["KL", "tiny, pooled"])
def test_rows_change_nothing(word: str, scattered: Callable[[nn.Module], nn.Module]) -> None:
    """To the bit where a row is computed alone on both sides."""
    part = PARTS[word]
    plain, sliced = twins(part, scattered, rows=1)
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64).tanh()
    with torch.no_grad():
        x_BCHW = torch.cat([plain.encode(row[None]) for row in images])
        assert torch.equal(sliced.encode(images), x_BCHW)
        assert torch.equal(sliced.decode(x_BCHW), torch.cat([plain.decode(row[None]) for row in x_BCHW]))
        assert error(plain.encode(images), x_BCHW) < 1e-12


def test_memory_of_windows(
    scattered: Callable[[nn.Module], nn.Module], peak_bytes: Callable[[Callable[[], Any]], int]
) -> None:
    """Of a network with the proportions of KL-f8: a fifth, and for a larger picture no more for each pixel."""
    part = AutoencoderKL(channels=(8, 16, 32, 32), norm_groups=4, blocks_per_level=1)
    plain, windowed = (m.float() for m in twins(part, scattered, tile=4))
    x_BCHW = torch.randn(1, 4, 32, 32)
    pixels = 4 * x_BCHW[0, 0].numel() * 64
    whole, parts = (peak_bytes(lambda m=m: m.decode(x_BCHW)) / pixels for m in (plain, windowed))
    assert whole > 2 * 16  # the finest level's input and what is made of it, in floats for each pixel
    assert parts < whole / 5
    assert parts < peak_bytes(lambda: windowed.decode(x_BCHW[..., :16, :16])) / pixels * 4
    images = torch.randn(1, 3, 256, 256)
    assert peak_bytes(lambda: windowed.encode(images)) < peak_bytes(lambda: plain.encode(images)) / 4


def test_memory_of_windows_without_attention(
    scattered: Callable[[nn.Module], nn.Module], peak_bytes: Callable[[Callable[[], Any]], int]
) -> None:
    """Of the pictures that a tiny autoencoder works on, only every level's output grows with the picture."""
    part = TinyAutoencoder(channels=16)
    plain, windowed = (m.float() for m in twins(part, scattered, tile=8))
    x_BCHW = torch.randn(1, 4, 64, 64)
    small, large = (peak_bytes(lambda s=s: windowed.decode(x_BCHW[..., :s, :s])) for s in (32, 64))
    assert large < peak_bytes(lambda: plain.decode(x_BCHW)) / 5
    # a level's input and output: a quarter and one times 16 channels at half the picture's side, and the picture
    kept = 4 * 64 * (16 / 4 + 16 / 16 + 3)
    assert (large - small) / (64 * 64 - 32 * 32) < kept


def test_the_largest_tensor_of_a_window_is_the_window_s(scattered: Callable[[nn.Module], nn.Module]) -> None:
    """Counted by hooks on every layer, whatever the size of the picture."""
    _, windowed = twins(PARTS["tiny, pooled"], scattered, tile=4)
    largest: list[int] = []

    def see(module: nn.Module, inputs: Any, output: Tensor) -> None:
        largest.append(output.numel())

    hooks = [m.register_forward_hook(see) for m in windowed.decoder.modules() if not list(m.children())]
    with torch.no_grad():
        windowed.decode(torch.randn(1, 4, 24, 40, dtype=torch.float64))
    for hook in hooks:
        hook.remove()
    # the coarsest level's widened pixels: of windows of 4 latents, and of what its 7 convolutions reach around them
    assert max(largest) == 4 * 8 * (4 + 2 * 7) ** 2


def test_attention_holds_few_scores(monkeypatch: pytest.MonkeyPatch, scattered: Callable[..., Any]) -> None:
    """Queries are taken as many at once as a window has latents; oracle: the kernel's own arguments."""
    from diffloom_autoencoder import attention_slices

    seen: list[int] = []
    kernel = attention_slices.torch_attention

    def watched(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen.append(q.shape[2])
        assert k.shape[2] == 6 * 5
        return kernel(q, k, v)

    monkeypatch.setattr(attention_slices, "torch_attention", watched)
    _, windowed = twins(PARTS["KL"], scattered, tile=3)
    with torch.no_grad():
        windowed.decode(torch.randn(1, 4, 6, 5, dtype=torch.float64))
    assert seen == [9, 9, 9, 3]


@given(splits=st.lists(st.integers(1, 30), min_size=1, max_size=5), offset=st.floats(-1e3, 1e3))
@settings(max_examples=30)
def test_moments_put_together_are_those_of_the_whole(splits: list[int], offset: float) -> None:
    """Oracle: torch's group normalisation of the whole, its mean far from 0 included."""
    generator = torch.Generator().manual_seed(sum(splits))
    x_BCHW = torch.randn(2, 6, 3, sum(splits), generator=generator, dtype=torch.float64) + offset
    norm = nn.GroupNorm(2, 6).double()
    nn.init.normal_(norm.weight)
    parts = [Moments.of(part, groups=2) for part in x_BCHW.split(splits, dim=3)]
    together = Moments.together(parts)
    torch.testing.assert_close(together.normalise(norm, x_BCHW), norm(x_BCHW), rtol=0, atol=1e-9)
