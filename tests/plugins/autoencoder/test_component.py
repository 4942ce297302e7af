"""What a file may say, and what it is told. Oracle: the shapes of the networks themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diffloom.kinds import ImageInfo, SpaceInfo, Statistics
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, TinyAutoencoder


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        (AutoencoderKL(), SpaceInfo(channels=4, height=64, width=96)),
        (AutoencoderKL(channels=(32,) * 5, latent_channels=16), SpaceInfo(channels=16, height=32, width=48)),
        (AutoencoderVQ(), SpaceInfo(channels=3, height=128, width=192)),
        (
            TinyAutoencoder(latent_channels=32, pooled_middle=True),
            SpaceInfo(channels=32, height=64, width=96),
        ),
        (TinyAutoencoder(blocks=(1,)), SpaceInfo(channels=4, height=512, width=768)),
    ],
)
def test_info(component: Any, expected: SpaceInfo) -> None:
    assert component.info(ImageInfo(512, 768, 3)) == expected


@given(st.integers(1, 5), st.integers(1, 300), st.integers(1, 300))
def test_sizes_that_are_refused_are_told_with_the_next_ones(levels: int, height: int, width: int) -> None:
    component = TinyAutoencoder(blocks=(1,) * levels)
    factor = 2 ** (levels - 1)
    if height % factor == 0 and width % factor == 0:
        assert component.info(ImageInfo(height, width, 3)).height * factor == height
        return
    with pytest.raises(ValueError, match=r"give (\d+)") as caught:
        component.info(ImageInfo(height, width, 3))
    offered = [int(word) for word in str(caught.value).rpartition("give ")[2].split(" or ")]
    odd = height if height % factor else width
    assert all(size % factor == 0 and abs(size - odd) <= factor for size in offered)


def test_the_message_of_a_size() -> None:
    with pytest.raises(ValueError) as caught:
        AutoencoderKL().info(ImageInfo(64, 100, 3))
    told = "a latent stands for 8×8 pixels, and the width 100 is no multiple of 8; give 96 or 104"
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("component", "fields", "told"),
    [
        (AutoencoderKL, {"channels": (100,)}, "norm_groups 32 does not divide the channels 100"),
        (
            AutoencoderVQ,
            {"attention_levels": (3,)},
            "attention_levels 3: there are 3 levels, the finest is 0",
        ),
        (AutoencoderKL, {"channels": ()}, "at least 1 item"),
        (AutoencoderKL, {"tile": 0}, "greater than 0"),
        (TinyAutoencoder, {"blocks": (1, -1)}, "greater than or equal to 0"),
        (
            AutoencoderKL,
            {"statistics": Statistics(mean=(0.0,) * 3, std=(1.0,) * 3, examples=9, data="abc")},
            "statistics of 3 channels for 4 latent_channels; run `diffloom calibrate` again",
        ),
    ],
)
def test_what_is_refused(component: Any, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told.replace("(", r"\(")):
        component(**fields)


def test_tensors_that_do_not_fit() -> None:
    codec = AutoencoderKL(channels=(8, 8), norm_groups=4).build(image=ImageInfo(16, 16, 3))
    with pytest.raises(ValueError, match="pictures of 1 channels; this autoencoder's have 3"):
        codec.encode(torch.zeros(1, 1, 16, 16))
    with pytest.raises(ValueError, match="pictures of 16×15; height and width must be multiples of 2"):
        codec.encode(torch.zeros(1, 3, 16, 15))
    with pytest.raises(ValueError, match="latents of 3 channels; this autoencoder's have 4"):
        codec.decode(torch.zeros(1, 3, 8, 8))
    vq = AutoencoderVQ(channels=(8, 8), norm_groups=4).build(image=ImageInfo(16, 16, 3))
    with pytest.raises(ValueError, match="latents of 4 channels; this autoencoder's have 3"):
        vq.decode(torch.zeros(1, 4, 8, 8))


def test_no_pictures_are_no_latents() -> None:
    codec = TinyAutoencoder(channels=8, rows=2).build(image=ImageInfo(16, 16, 3))
    assert codec.encode(torch.zeros(0, 3, 16, 16)).shape == (0, 4, 2, 2)
