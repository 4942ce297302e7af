"""Pictures divided by the memory there is. Oracles: the arithmetic by hand; the pictures that are not divided."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from diffloom.inference import Compute
from diffloom.inference.prepared import prepared
from diffloom.kinds import ImageInfo
from diffloom_autoencoder import AutoencoderKL, strip_side
from diffloom_autoencoder.room import TILE, Division

PART = AutoencoderKL(channels=(4, 8), norm_groups=4, blocks_per_level=1)


@pytest.mark.parametrize(
    ("count", "side", "free", "rows", "expected"),
    [
        (9, 64, 10_000, None, (9, None)),  # 80 would fit
        (9, 64, 500, None, (4, None)),
        (9, 64, 500, 2, (2, None)),  # as was said
        (9, 64, 100, None, (1, TILE)),
        (9, TILE, 100, None, (1, None)),  # nothing smaller than a window
        (9, 64, None, None, (9, None)),  # nobody says what is free
        (0, 64, 0, None, (1, None)),
    ],
)
def test_as_many_as_there_is_memory_for(
    count: int, side: int, free: int | None, rows: int | None, expected: tuple[int, int | None]
) -> None:
    assert Division()(count=count, one_bytes=100, side=side, free=free, rows=rows) == expected


@torch.no_grad()
def test_pictures_are_the_same(
    scattered: Callable[[nn.Module], nn.Module],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(0)
    codec: Any = scattered(PART.build(image=ImageInfo(64, 64, 3))).double()
    ready: Any = prepared(codec, Compute(dtype=torch.float64))
    x_BCHW = torch.randn(3, 4, TILE + 3, 5, dtype=torch.float64)
    pictures = codec.decode(x_BCHW)
    seen: list[object] = []
    monkeypatch.setattr(strip_side, "_after", _watching(strip_side._after, seen))
    one = ready.decoder.held_bytes(TILE + 3, 5)
    for free, batches in ((10 * one, {3}), (3 * one, {2, 1}), (one, {"lean"})):
        seen.clear()
        monkeypatch.setattr(strip_side, "available_bytes", lambda device, free=free: free)
        made = ready.decode(x_BCHW)
        assert ((made - pictures).abs().max() / pictures.std()).item() < 1e-12
        assert set(seen) == batches
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "computes 2 at once" in told[0]


def test_what_convolutions_make_of_weights_needs_memory_once(
    scattered: Callable[[nn.Module], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first picture."""
    ready: Any = prepared(scattered(PART.build(image=ImageInfo(64, 64, 3))), Compute(dtype=torch.float32))
    decoder, x_BCHW = ready.decoder, torch.randn(3, 4, 5, 5)
    free = 3 * decoder.held_bytes(5, 5)
    assert free < 2 * sum(weight.nbytes for weight in decoder.parameters())
    monkeypatch.setattr(strip_side, "available_bytes", lambda device: free)
    assert decoder.divided(x_BCHW, rows=None, tile=None)[0] == 1
    with torch.no_grad():
        decoder(x_BCHW)
    assert decoder.divided(x_BCHW, rows=None, tile=None)[0] == 2


def _watching(after: Callable[..., Any], seen: list[object]) -> Callable[..., Any]:
    def watched(part: nn.Module, picture: Any, *, lean: bool) -> Any:
        seen.append("lean" if lean else picture.parts[0].batch)
        return after(part, picture, lean=lean)

    return watched


def test_training_divides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run computes must not depend on what else the machine does."""
    codec: Any = PART.build(image=ImageInfo(64, 64, 3))
    monkeypatch.setattr(strip_side, "available_bytes", lambda device: 1)
    assert codec.encoder.divided(torch.zeros(5, 3, 64, 64), rows=None, tile=None) == (5, None)
