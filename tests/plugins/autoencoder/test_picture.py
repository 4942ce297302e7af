"""Pictures that threads share. Oracles: the same pictures by one thread; a picture padded, and cut out; counts by hand.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from diffloom.inference import Compute
from diffloom.inference.prepared import prepared
from diffloom.kinds import ImageInfo
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, strip_side, strips
from diffloom_autoencoder.autoencoder import Autoencoder
from diffloom_autoencoder.picture import Picture
from diffloom_autoencoder.strips import copied, windows

IMAGE = ImageInfo(64, 64, 3)
PARTS: dict[str, Autoencoder] = {
    "KL": AutoencoderKL(channels=(4, 8, 12), norm_groups=4, blocks_per_level=1),
    "KL that attends": AutoencoderKL(
        channels=(4, 8), norm_groups=2, attention_levels=(0,), quant_convs=False
    ),
    "VQ": AutoencoderVQ(channels=(8, 4), norm_groups=2, codebook=16),
}
THREADS = 3


@pytest.fixture(autouse=True)
def _three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    monkeypatch.setattr(import_module("diffloom.nn.shares"), "WORTHWHILE", 0)
    yield
    torch.set_num_threads(before)


def built(part: Autoencoder, scattered: Callable[[nn.Module], nn.Module]) -> Any:
    torch.manual_seed(0)
    return scattered(part.build(image=IMAGE)).double()


def error(ours: Tensor, whole: Tensor) -> float:
    assert ours.shape == whole.shape
    return ((ours - whole).abs().max() / whole.std()).item()


def watched(patch: pytest.MonkeyPatch) -> set[int]:
    """In how many parts pictures go through a side from now on."""
    seen: set[int] = set()
    after = strip_side._after

    def watching(part: nn.Module, picture: Picture, *, lean: bool) -> Picture:
        seen.add(len(picture.parts))
        return after(part, picture, lean=lean)

    patch.setattr(strip_side, "_after", watching)
    return seen


@pytest.mark.parametrize("word", PARTS)
@given(
    strip_bytes=st.sampled_from([1, 2000, 10**6]),
    shape=st.tuples(st.integers(1, 2), st.integers(2 * THREADS, 10), st.integers(1, 5)),
    last=st.booleans(),
)
@settings(max_examples=8)
@torch.no_grad()
def test_threads_compute_what_one_does(
    *,
    word: str,
    strip_bytes: int,
    shape: tuple[int, int, int],
    last: bool,
    scattered: Callable[[nn.Module], nn.Module],
) -> None:
    """To float64's last digits, whatever the strips; rows need not be dealt evenly."""
    part, (batch, height, width) = PARTS[word], shape
    plain = built(part, scattered)
    ready: Any = prepared(plain, Compute(dtype=torch.float64, channels_last=last))
    images = torch.randn(batch, 3, height * part.factor, width * part.factor, dtype=torch.float64).tanh()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(strips.STRIP_BYTES, "cpu", strip_bytes)
        seen = watched(patch)
        x_BCHW = plain.encode(images)
        before = x_BCHW.clone()
        assert error(ready.encode(images), x_BCHW) < 1e-12
        assert error(ready.decode(x_BCHW), plain.decode(x_BCHW)) < 1e-12
    assert torch.equal(x_BCHW, before)
    assert seen == {THREADS}  # or nothing was compared


@pytest.mark.parametrize("layer", ["shortcut", "conv"])
@torch.no_grad()
def test_a_layer_that_needs_the_whole_picture_is_given_it(
    layer: str, scattered: Callable[[nn.Module], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures whose edges meet: in a block, and in convolutions that change the resolution."""
    plain = built(PARTS["KL"], scattered)
    for name, module in plain.named_modules():
        if name.endswith(f".{layer}") and isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"
    ready: Any = prepared(plain, Compute(dtype=torch.float64))
    images = torch.randn(1, 3, 32, 16, dtype=torch.float64).tanh()
    seen = watched(monkeypatch)
    x_BCHW = plain.encode(images)
    assert error(ready.encode(images), x_BCHW) < 1e-12
    assert error(ready.decode(x_BCHW), plain.decode(x_BCHW)) < 1e-12
    assert seen == {THREADS}


@pytest.mark.parametrize(
    ("side", "rows", "heights"),
    [
        ("decoder", 6, [2, 2, 2]),
        ("decoder", 10, [3, 3, 4]),
        ("decoder", 5, [5]),  # too few for three
        ("encoder", 24, [8, 8, 8]),  # which are halved twice
        ("encoder", 28, [8, 8, 12]),
        ("encoder", 20, [20]),
    ],
)
def test_who_takes_which_rows(side: str, rows: int, heights: list[int]) -> None:
    ready: Any = prepared(PARTS["KL"].build(image=IMAGE), Compute(dtype=torch.float32))
    channels = 4 if side == "decoder" else 3
    assert getattr(ready, side)._heights(torch.zeros(1, channels, rows, 8)) == heights


def test_what_is_too_little_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what somebody counts. Oracle: torch's own counter, which adds and multiplies; of a doubling it counts two
    rows that are cut off.
    """
    ready: Any = prepared(PARTS["KL"].build(image=IMAGE), Compute(dtype=torch.float32))
    decoder, x_BCHW = ready.decoder, torch.zeros(1, 4, 32, 8)
    work = decoder.multiplications(32, 8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert decoder._heights(x_BCHW) == [32]
        decoder(x_BCHW)
    assert 0.9 < 2 * work / counter.get_total_flops() < 1
    for few, parts in ((work // THREADS, THREADS), (work // THREADS + 1, 1)):
        monkeypatch.setattr(import_module("diffloom.nn.shares"), "WORTHWHILE", few)
        assert len(decoder._heights(x_BCHW)) == parts


@given(
    heights=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    rows=st.integers(1, 6),
    kernel=st.sampled_from([(3, 1, (1, 1)), (3, 2, (0, 1)), (3, 2, (1, 1)), (1, 1, (0, 0))]),
)
@settings(max_examples=60)
def test_a_part_reads_its_neighbours_rows(
    heights: list[int], rows: int, kernel: tuple[int, int, tuple[int, int]]
) -> None:
    """Windows of the parts are those of the picture."""
    size, stride, edges = kernel
    heights = [height * stride for height in heights]
    x_BCHW = torch.randn(2, 3, sum(heights), 2)
    padded_BCHW = functional.pad(x_BCHW, (0, 0, *edges))
    top = 0
    for part in Picture.divided(x_BCHW, heights).parts:
        for window_BCRW in windows(part, rows=rows, filling=copied, size=size, stride=stride, edges=edges):
            assert torch.equal(window_BCRW, padded_BCHW[:, :, top : top + window_BCRW.shape[2]])
            top += (window_BCRW.shape[2] - size) // stride * stride + stride
    assert top == x_BCHW.shape[2]
