"""Computing strip by strip. Oracles: the same network on the whole; torch's own operations; the bytes held, counted.

Legend: B batch, C channels, H height, W width, R rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL as DiffusersKL
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from diffloom.inference import Compute
from diffloom.inference.prepared import prepared
from diffloom.kinds import ImageInfo
from diffloom.planning.hollow import Answers
from diffloom.planning.live_bytes import LiveBytes
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, TinyAutoencoder, strips
from diffloom_autoencoder.autoencoder import Autoencoder
from diffloom_autoencoder.blocks import Folded, PlainResidualBlock
from diffloom_autoencoder.moments import Moments
from diffloom_autoencoder.strip_side import StripSide
from diffloom_autoencoder.strips import Strips, windows

IMAGE = ImageInfo(64, 64, 3)
PARTS: dict[str, Autoencoder] = {
    "KL": AutoencoderKL(channels=(4, 8, 12), norm_groups=4, blocks_per_level=1),
    "KL that attends": AutoencoderKL(
        channels=(4, 8), norm_groups=2, attention_levels=(0,), quant_convs=False
    ),
    "VQ": AutoencoderVQ(channels=(8, 4), norm_groups=2, codebook=16),
    "tiny": TinyAutoencoder(channels=8, blocks=(1, 2, 1)),
    "tiny, pooled": TinyAutoencoder(channels=8, blocks=(1, 1), pooled_middle=True),
}
SD = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4}
BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}


def twins(
    part: Autoencoder, scattered: Callable[[nn.Module], nn.Module], compute: Compute, dtype: torch.dtype
) -> tuple[Any, Any]:
    """The codec as it is, and made ready."""
    torch.manual_seed(0)
    plain = scattered(part.build(image=IMAGE)).to(dtype)
    ready = prepared(plain, compute)
    assert isinstance(ready.decoder, StripSide)
    return plain, ready


def error(ours: Tensor, whole: Tensor) -> float:
    assert ours.shape == whole.shape
    return ((ours - whole).abs().max() / whole.std()).item()


@pytest.mark.parametrize("word", PARTS)
@given(
    strip_bytes=st.sampled_from([1, 2000, 10_000, 10**6]),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    last=st.booleans(),
    tile=st.sampled_from([None, 2]),
)
@settings(max_examples=16, deadline=None)
@torch.no_grad()
def test_strips_change_nothing(
    *,
    word: str,
    strip_bytes: int,
    shape: tuple[int, int, int],
    last: bool,
    tile: int | None,
    scattered: Callable[[nn.Module], nn.Module],
) -> None:
    """To float64's last digits, whatever the strips, from rows of their own to the whole picture; in both layouts, and
    where memory is short."""
    part, (batch, height, width) = PARTS[word], shape
    plain, ready = twins(part, scattered, Compute(dtype=torch.float64, channels_last=last), torch.float64)
    ready.handling = replace(ready.handling, tile=tile)
    images = torch.randn(batch, 3, height * part.factor, width * part.factor, dtype=torch.float64).tanh()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(strips.STRIP_BYTES, "cpu", strip_bytes)
        x_BCHW = plain.encode(images)
        before = x_BCHW.clone()
        assert error(ready.encode(images), x_BCHW) < 1e-12
        assert error(ready.decode(x_BCHW), plain.decode(x_BCHW)) < 1e-12
    assert torch.equal(x_BCHW, before)


@torch.no_grad()
def test_float32_is_as_near_to_the_truth_as_the_plain_way(
    scattered: Callable[[nn.Module], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the same in float64."""
    monkeypatch.setitem(strips.STRIP_BYTES, "cpu", 20_000)
    plain, ready = twins(
        PARTS["KL"], scattered, Compute(dtype=torch.float32, channels_last=True), torch.float32
    )
    x_BCHW = torch.randn(2, 4, 9, 7)
    ours, theirs = ready.decode(x_BCHW), plain.decode(x_BCHW)
    truth = plain.double().decode(x_BCHW.double())
    assert error(ours.double(), truth) < 2 * error(theirs.double(), truth) < 1e-4


def test_gradients_of_the_input_are_the_plain_ones(scattered: Callable[[nn.Module], nn.Module]) -> None:
    """Guidance may look at decoded pictures."""
    plain, ready = twins(PARTS["KL"], scattered, Compute(dtype=torch.float64), torch.float64)
    x_BCHW = torch.randn(1, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 3, 20, 24, dtype=torch.float64)
    one, other = (
        torch.autograd.grad((codec.decode(x_BCHW) * weights).sum(), x_BCHW)[0] for codec in (ready, plain)
    )
    assert error(one, other) < 1e-11


@given(
    height=st.integers(1, 12),
    cuts=st.sets(st.integers(1, 11)),
    rows=st.integers(1, 13),
    kernel=st.sampled_from([(3, 1, (1, 1)), (3, 2, (0, 1)), (3, 2, (1, 1)), (1, 1, (0, 0))]),
    last=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_windows_are_what_a_convolution_reads(
    height: int, cuts: Collection[int], rows: int, kernel: tuple[int, int, tuple[int, int]], last: bool
) -> None:
    """Oracle: the picture padded, and cut out. However it lies in strips; and every row is filled in once."""
    size, stride, edges = kernel
    if height + sum(edges) < size:
        return
    picture_BCHW = torch.randn(2, 3, height, 2)
    filled: list[int] = []

    def negated(rows_BCRW: Tensor, out_BCRW: Tensor) -> None:
        filled.append(rows_BCRW.shape[2])
        torch.neg(rows_BCRW, out=out_BCRW)

    ends = [0, *sorted(cut for cut in cuts if cut < height), height]
    pieces = [picture_BCHW[:, :, a:b] for a, b in pairwise(ends)]
    layout = torch.channels_last if last else torch.contiguous_format
    padded_BCHW = functional.pad(-picture_BCHW, (0, 0, *edges))
    given_rows = (padded_BCHW.shape[2] - size) // stride + 1
    found = windows(
        Strips(pieces), rows=rows, filling=negated, size=size, stride=stride, edges=edges, layout=layout
    )
    top = 0
    for window_BCRW in found:
        bottom = min(top + rows, given_rows)
        expected = padded_BCHW[:, :, top * stride : (bottom - 1) * stride + size]
        assert torch.equal(window_BCRW, expected)
        top = bottom
    assert top == given_rows
    assert sum(filled) <= height


@given(splits=st.lists(st.integers(1, 9), min_size=1, max_size=4), offset=st.floats(-1e3, 1e3))
@settings(max_examples=25, deadline=None)
def test_moments_of_channels_become_those_of_groups(splits: list[int], offset: float) -> None:
    """Oracle: torch's group normalisation."""
    generator = torch.Generator().manual_seed(sum(splits))
    x_BCHW = torch.randn(3, 6, sum(splits), 4, generator=generator, dtype=torch.float64) + offset
    norm = nn.GroupNorm(2, 6).double()
    nn.init.normal_(norm.weight)
    together = Moments.together([Moments.of_channels(part) for part in x_BCHW.split(splits, dim=2)])
    found = together.grouped(2).normalise(norm, x_BCHW)
    torch.testing.assert_close(found, norm(x_BCHW), rtol=0, atol=1e-9)


def held(call: Callable[[], Any], weights: Collection[Tensor]) -> int:
    """The bytes that a computation without gradients holds at once, beside the weights."""
    live = LiveBytes(torch.device("cpu"))
    live.name("weights", weights)
    known = live.live_bytes
    with torch.no_grad(), live:
        call()
    return live.peak_bytes - known


def test_a_picture_of_512_pixels_takes_a_third_of_diffusers_memory() -> None:
    """Stable Diffusion's decoder, computed without numbers: bytes and operations beside diffusers' own."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        theirs = DiffusersKL(**SD, **BLOCKS)
        plain = AutoencoderKL().build(image=ImageInfo(512, 512, 3)).eval()
        latents_BCHW = torch.empty(1, 4, 64, 64)
        others = held(lambda: theirs.decode(latents_BCHW).sample, [*theirs.parameters()])
    with Answers(), torch.no_grad():  # what is tried out before is tried with numbers
        ready = prepared(plain.decoder, Compute(dtype=torch.float32, channels_last=True))
        ready(latents_BCHW)  # and weights are sorted once
        ours = held(lambda: ready(latents_BCHW), [*ready.parameters()])
        lean = held(lambda: ready(latents_BCHW, tile=32), [*ready.parameters()])
    assert ours <= 0.35 * others
    assert lean <= 0.27 * others
    assert ours <= ready.held_bytes(64, 64) <= 1.5 * ours


def flops(call: Callable[[], Any]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def test_nothing_is_computed_twice(
    scattered: Callable[[nn.Module], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strips take the operations of the whole, but for doublings, of which they take 4/9."""
    plain, ready = twins(PARTS["KL"], scattered, Compute(dtype=torch.float32), torch.float32)
    latents_BCHW, images_BCHW = torch.randn(1, 4, 8, 6), torch.randn(1, 3, 32, 24)
    work = flops(lambda: plain.decode(latents_BCHW))
    doublings = [(12, 16, 12), (8, 32, 24)]  # channels, height and width of what each gives
    for channels, height, width in doublings:
        plain_work = 2 * 9 * channels**2 * height * width
        work -= plain_work
        # the counter takes the row of zeros above and below, which is cut off, for a row of the picture
        work += plain_work * 4 // 9 * (height // 2 + 2) // (height // 2)
    assert flops(lambda: ready.decode(latents_BCHW)) == work
    monkeypatch.setitem(strips.STRIP_BYTES, "cpu", 1)  # a row each
    assert flops(lambda: ready.encode(images_BCHW)) == flops(lambda: plain.encode(images_BCHW))


def test_what_is_computed_twice_where_memory_is_short(scattered: Callable[[nn.Module], nn.Module]) -> None:
    """The first convolution of each block but those behind a doubling, and each doubling three times in all."""
    _, ready = twins(PARTS["KL"], scattered, Compute(dtype=torch.float32), torch.float32)
    latents_BCHW = torch.randn(1, 4, 8, 6)
    work = flops(lambda: ready.decode(latents_BCHW))
    for level, blocks in enumerate(ready.decoder.stages):
        height, width = 8 * 2**level, 6 * 2**level
        for part, behind in zip(blocks.parts, [None, *blocks.parts], strict=False):
            if isinstance(part, PlainResidualBlock) and not isinstance(behind, Folded):
                work += 2 * part.conv1.weight.numel() * height * width
            elif isinstance(part, Folded):
                # two rows of zeros more, as the counter takes them
                work += 2 * 2 * part.conv.weight.numel() * (height // 2 + 2) * (width // 2)
    ready.handling = replace(ready.handling, tile=1)
    assert flops(lambda: ready.decode(latents_BCHW)) == work


@pytest.mark.parametrize(("precision", "bound"), [(torch.bfloat16, 0.05), (torch.float16, 0.006)])
@torch.no_grad()
def test_half_precision_ends_in_float32(
    precision: torch.dtype, bound: float, scattered: Callable[[nn.Module], nn.Module]
) -> None:
    """Its error is that of some twenty layers of 8 or 11 bits, and pictures are not rounded to so few."""
    plain, ready = twins(PARTS["KL"], scattered, Compute(dtype=precision, channels_last=True), torch.float32)
    x_BCHW = torch.randn(2, 4, 9, 7)
    pictures, exact = ready.decode(x_BCHW.to(precision)), plain.decode(x_BCHW)
    assert pictures.dtype == torch.float32
    assert ((pictures - exact).std() / exact.std()).item() < bound
    assert (pictures.to(precision) != pictures).float().mean() > 0.9
    assert ready.decode(x_BCHW).dtype == torch.float32
    latents = ready.encode(exact.clamp(-1, 1).to(precision))
    assert latents.dtype == torch.float32
