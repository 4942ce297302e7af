"""The classifier's network. Oracle: guided-diffusion's names and formulas, written out in this folder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from diffloom.bridge import MemoryTensors, fill, theirs_of
from diffloom.kinds import SpaceInfo
from diffloom_classifier import EncoderClassifier
from diffloom_classifier.names import OpenAIClassifier
from diffloom_classifier.shape import EncoderShape

NAMES = OpenAIClassifier()
PUBLISHED: dict[int, tuple[dict[str, Any], dict[str, Any], int]] = {
    64: (
        {"channels": (128, 256, 384, 512), "blocks_per_level": 4},
        {"channel_mult": (1, 2, 3, 4), "num_res_blocks": 4},
        65_438_568,
    ),
    128: ({"channels": (128, 128, 256, 384, 512)}, {"channel_mult": (1, 1, 2, 3, 4)}, 42_568_040),
    256: ({}, {"channel_mult": (1, 1, 2, 2, 4, 4)}, 54_096_360),
    512: (
        {"channels": (64, 128, 128, 256, 256, 512, 512), "time_width": 128},
        {"channel_mult": (0.5, 1, 1, 2, 2, 4, 4)},
        54_448_360,
    ),
}
"""By the side of the pictures: our fields, guided-diffusion's `create_classifier`, and the parameters counted there."""


@pytest.mark.parametrize("side", PUBLISHED)
def test_the_published_networks_have_these_tensors(side: int, original: Callable[..., Any]) -> None:
    """Every name and shape, and as many parameters as the original's own module has."""
    fields, flags, count = PUBLISHED[side]
    theirs = original(
        image_size=side,
        in_channels=3,
        out_channels=1000,
        model_channels=128,
        attention_ds=tuple(side // resolution for resolution in (32, 16, 8)),
        num_head_channels=64,
        **{"num_res_blocks": 2, **flags},
    )
    with torch.device("meta"):
        network = EncoderShape(**fields).network(space=SpaceInfo(channels=3, height=side, width=side))
    found = {name: tuple(tensor.shape) for name, tensor in theirs_of(network, NAMES).items()}
    assert found == theirs.shapes
    assert sum(math.prod(shape) for shape in theirs.shapes.values()) == count
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("pool", ["adaptive", "attention", "spatial", "spatial_v2"])
@pytest.mark.parametrize("embedding", ["add", "scale_shift"])
@pytest.mark.parametrize("resample", ["conv", "residual"])
def test_it_computes_what_the_original_does(
    pool: str, embedding: str, resample: str, original: Callable[..., Any]
) -> None:
    """The same logits of the same state dict, and of fractional times: float64 to 1e-12 of their size, the noise of
    sums in another order; float32 to 1e-5.
    """
    theirs, network = pair(original, pool=pool, embedding=embedding, resample=resample)
    state = theirs.state()
    fill(network, MemoryTensors(state), NAMES)
    generator = torch.Generator().manual_seed(1)
    x_BCHW = torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    t_B = torch.tensor([3.0, 712.5])
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        brought = {name: tensor.to(dtype) for name, tensor in state.items()}
        wanted = theirs.logits(brought, x_BCHW.to(dtype), t_B)
        with torch.no_grad():
            found = network.to(dtype)(x_BCHW.to(dtype), t_B)
        assert found.dtype == dtype
        scale = float(wanted.abs().max())
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * scale)


def test_the_first_level_may_be_narrower_than_time(original: Callable[..., Any]) -> None:
    """As for 512 × 512; and pictures need not be squares."""
    theirs, network = pair(
        original, channels=(32, 64), time_width=64, model_channels=64, channel_mult=(0.5, 1), pool="adaptive"
    )
    state = theirs.state()
    fill(network, MemoryTensors(state), NAMES)
    x_BCHW = torch.randn(2, 3, 8, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    t_B = torch.tensor([0.0, 999.0])
    torch.testing.assert_close(
        network(x_BCHW, t_B), theirs.logits(state, x_BCHW, t_B), rtol=1e-11, atol=1e-11
    )


def test_names_go_there_and_back(original: Callable[..., Any]) -> None:
    """Their state dict, read into ours and written again, is the same to the last bit."""
    theirs, network = pair(original)
    state = theirs.state()
    fill(network, MemoryTensors(state), NAMES)
    again = theirs_of(network, NAMES)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"channels": (48, 96)},
            "32 groups, in which the classifier normalises, do not divide the channels 48;",
        ),
        ({"time_width": 33}, "a time embedding's width is even, not 33"),
    ],
)
def test_a_network_that_cannot_be_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        EncoderShape(**fields)


@pytest.mark.parametrize(
    ("fields", "space", "problem"),
    [
        (
            {},
            SpaceInfo(3, 48, 48),
            "6 levels need a height and width divisible by 32, and the space is 48×48",
        ),
        (
            {"attention_resolutions": (32, 5)},
            SpaceInfo(3, 64, 64),
            "no level of the classifier has 5 pixels; they have 64, 32, 16, 8, 4, 2",
        ),
        (
            {"head_channels": 48},
            SpaceInfo(3, 64, 64),
            "128 channels of the classifier cannot be split into heads of 48",
        ),
    ],
)
def test_a_space_that_it_cannot_classify_is_refused(
    fields: dict[str, Any], space: SpaceInfo, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        EncoderShape(**fields).network(space=space)


def pair(original: Callable[..., Any], **changes: Any) -> tuple[Any, EncoderClassifier]:
    """The original for small pictures, and ours, each told in its own words."""
    fields = {"embedding": "scale_shift", "resample": "residual", "pool": "attention", **changes}
    flags = {
        name: fields.pop(name, value) for name, value in (("model_channels", 32), ("channel_mult", (1, 2)))
    }
    theirs = original(
        image_size=8,
        in_channels=3,
        out_channels=5,
        num_res_blocks=1,
        attention_ds=(2,),
        num_head_channels=16,
        use_scale_shift_norm=fields["embedding"] == "scale_shift",
        resblock_updown=fields["resample"] == "residual",
        pool=fields["pool"],
        **flags,
    )
    shape = EncoderShape(
        **{"channels": (32, 64), **fields},
        classes=5,
        blocks_per_level=1,
        attention_resolutions=(4,),
        head_channels=16,
    )
    return theirs, shape.network(space=SpaceInfo(channels=3, height=8, width=8))
