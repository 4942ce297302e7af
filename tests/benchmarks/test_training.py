"""Steps of training on either side. Oracle: diffusers' network, optimiser and recipe, whose losses ours are."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
import torch
from accelerate.state import AcceleratorState
from benchmarks.speed.peers import stirred
from benchmarks.speed.training import Ours, Setting
from benchmarks.speed.works import train
from benchmarks.speed.works.train import Theirs, cases
from diffusers import UNet2DModel

CPU = torch.device("cpu")
SMALL = Setting(
    0.1,
    {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": 8,
    },
    {
        "type": "unet",
        "channels": [16, 32],
        "blocks_per_level": 1,
        "attention_resolutions": [4],
        "head_channels": 8,
        "norm_groups": 8,
        "norm_eps": 1e-5,
        "downsample_padding": "symmetric",
        "time_cos_first": True,
        "time_frequency_shift": 0,
    },
    side=8,
    batch=4,
)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    ctypes.CDLL(None).malloc_trim(0)


def test_both_sides_take_the_same_steps() -> None:
    """Three losses, of which the third shows two updates: Adam divides by what is nearly zero, so 1e-3 of them."""
    peer = stirred(UNet2DModel(**SMALL.peer))
    ours = Ours(SMALL, peer, CPU, asks="fp32")
    theirs = Theirs(peer, ours.examples())
    first, *later = [(ours.step(), theirs.step()) for _ in range(3)]
    torch.testing.assert_close(*first, rtol=1e-5, atol=0)
    for own, other in later:
        torch.testing.assert_close(own, other, rtol=1e-3, atol=0)
    assert not torch.equal(first[0], later[0][0])


def test_the_peer_in_halves_is_autocast_s() -> None:
    """bf16 has 8 bits: a loss, which sums many, is within a percent of float32's, and is not it."""
    peer = stirred(UNet2DModel(**SMALL.peer))
    halves = Ours(SMALL, peer, CPU, asks="bf16")
    assert halves.precision == "bf16"
    exact = Theirs(peer, halves.examples()).step()
    for losses in (halves.step(), Theirs(peer, halves.examples(), halves=True).step()):
        torch.testing.assert_close(losses, exact, rtol=0.05, atol=0)
        assert not torch.equal(losses, exact)


def test_auto_is_settled_before_the_run() -> None:
    assert Ours(SMALL, stirred(UNet2DModel(**SMALL.peer)), CPU, asks="auto").precision == "fp32"


def test_time_and_memory_are_asked_of_both_precisions_and_of_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "CIFAR_STEP", SMALL)
    exact, halves = cases(CPU)
    asked = {arm.name: [goal.measure for goal in arm.goals] for arm in (*exact.ours, *halves.ours)}
    assert asked == {
        "diffloom fp32": ["speed", "memory"],
        "diffloom as it comes": ["speed", "memory"],
        "diffloom bf16": ["speed"],
    }
    theirs, *ours = (arm.call() for arm in (exact.peer, *exact.ours))
    for own in ours:
        torch.testing.assert_close(own, theirs, rtol=1e-5, atol=0)
