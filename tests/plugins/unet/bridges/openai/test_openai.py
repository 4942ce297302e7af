"""Oracle: guided-diffusion's U-Net written out beside this file, and the parameters of the published networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.bridge import Bridge, Foreign, Inferred, MemoryTensors, fill, theirs_of
from diffloom.condition import Condition
from diffloom.kinds import ConditionInfo
from diffloom_unet import UNet

Make = Callable[..., nn.Module]
SHAPES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "ADM": (
        {"num_channels": 32, "mult": (1, 2, 3), "attention": (1, 2), "head_channels": 16, "classes": 5},
        {"head_channels": "16", "attention_order": "legacy", "image_size": "16"},
    ),
    "ADM, new order": (
        {"num_channels": 32, "mult": (1, 2), "attention": (1,), "head_channels": 32, "new_order": True},
        {"head_channels": "32", "attention_order": "new", "image_size": "8"},
    ),
    "ADM, half as wide at first": (
        {"num_channels": 64, "mult": (0.5, 1), "attention": (0,), "heads": 4, "num_res_blocks": 1},
        {"heads": "4", "attention_order": "legacy", "image_size": "32"},
    ),
    "IDDPM": (
        {"num_channels": 32, "mult": (1, 2), "attention": (0, 1), "heads": 4, "updown": False},
        {"heads": "4", "attention_order": "legacy", "image_size": "16"},
    ),
    "added, no level attends": (
        {
            "num_channels": 64,
            "mult": (1, 2),
            "attention": (),
            "heads": 1,
            "updown": False,
            "scale_shift": False,
            "channels": (3, 3),
        },
        {"heads": "1", "image_size": "16"},
    ),
    "super-resolution, one level": (
        {
            "num_channels": 64,
            "mult": (1,),
            "attention": (0,),
            "heads": 2,
            "channels": (6, 6),
            "num_res_blocks": 3,
        },
        {"heads": "2", "attention_order": "legacy", "image_size": "8"},
    ),
}
"""Flags, and what neither names nor shapes say of them."""


@pytest.fixture(params=list(SHAPES))
def shape(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, str]]:
    """Every shape in turn: its flags and answers."""
    return SHAPES[request.param]


def known(weights: Mapping[str, Tensor], **assume: str) -> tuple[Bridge, Inferred]:
    """The only bridge that knows these weights, and what it makes of them."""
    foreign = Foreign(MemoryTensors(weights), assume=assume)
    found = [
        (bridge, inferred) for bridge in UNet.bridges() if (inferred := bridge.infer(foreign)) is not None
    ]
    assert len(found) == 1
    return found[0]


def ours_of(weights: Mapping[str, Tensor], **assume: str) -> tuple[Bridge, Inferred, nn.Module]:
    """Our network with their weights."""
    bridge, inferred = known(weights, **assume)
    with torch.device("meta"):
        ours = inferred.build()
    fill(ours, MemoryTensors(weights), bridge)
    return bridge, inferred, ours.eval()


def same(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """The same names, types and bits."""
    return some.keys() == others.keys() and all(
        some[name].dtype == other.dtype and torch.equal(some[name], other) for name, other in others.items()
    )


def gap(ours: nn.Module, theirs: nn.Module, inferred: Inferred) -> float:
    """The largest difference of outputs, as a share of the largest output."""
    torch.manual_seed(1)
    dtype = next(theirs.parameters()).dtype
    space, condition = inferred.shapes["space"], inferred.shapes["condition"]
    x_BCHW = torch.randn(2, space.channels, 8, 16, dtype=dtype)
    stacked_BCHW = torch.randn(2, condition.concat, 8, 16, dtype=dtype) if condition.concat else None
    class_B, t_B = torch.tensor([0, 4]) if condition.classes else None, torch.tensor([999.0, 12.5])
    both_BCHW = x_BCHW if stacked_BCHW is None else torch.cat([x_BCHW, stacked_BCHW], dim=1)
    with torch.no_grad():
        expected = theirs(both_BCHW, t_B, class_B)
        given = ours(x_BCHW, t_B, Condition(class_B=class_B, concat_BCHW=stacked_BCHW))
    assert given.shape == expected.shape
    assert expected.std() > 0.1
    return ((given - expected).abs().max() / expected.abs().max()).item()


# float32 sums in another order differ by some units in the last place, 1e-7 each layer; in float64 the same
# differences must fall to 1e-15 each, which no difference of mathematics would do
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_outputs(shape: Any, dtype: torch.dtype, tolerance: float, guided: Make) -> None:
    flags, answers = shape
    torch.manual_seed(0)
    theirs = guided(**flags).to(dtype)
    _, inferred, ours = ours_of(theirs.state_dict(), **answers)
    assert gap(ours, theirs, inferred) < tolerance


def test_the_other_order_is_another_network(guided: Make) -> None:
    flags, answers = SHAPES["ADM"]
    torch.manual_seed(0)
    theirs = guided(**flags)
    bridge, inferred, ours = ours_of(theirs.state_dict(), **{**answers, "attention_order": "new"})
    assert bridge.format == "openai_new_order"
    assert gap(ours, theirs, inferred) > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_there_and_back(shape: Any, dtype: torch.dtype, guided: Make) -> None:
    """Theirs → ours → theirs → ours, bit for bit; what is inferred is inferred again."""
    flags, answers = shape
    theirs = guided(**flags).to(dtype)
    bridge, inferred, ours = ours_of(theirs.state_dict(), **answers)
    written = theirs_of(ours, bridge)
    assert same(written, theirs.state_dict())
    assert bridge.config(inferred) is None
    _, again, ours_again = ours_of(written, **answers)
    assert (again.part, again.shapes) == (inferred.part, inferred.shapes)
    assert same(ours_again.state_dict(), ours.state_dict())


ADM: dict[str, Any] = {
    "num_channels": 256,
    "mult": (1, 1, 2, 2, 4, 4),
    "attention": (3, 4, 5),
    "head_channels": 64,
    "classes": 1000,
}
IDDPM: dict[str, Any] = {"num_channels": 128, "num_res_blocks": 3, "heads": 4, "updown": False}
UPSAMPLER: dict[str, Any] = {**ADM, "num_channels": 192, "channels": (6, 6)}
PUBLISHED: dict[str, tuple[dict[str, Any], int, tuple[int, ...], int | None]] = {
    "ADM 64": (
        {
            **ADM,
            "num_channels": 192,
            "mult": (1, 2, 3, 4),
            "attention": (1, 2, 3),
            "num_res_blocks": 3,
            "new_order": True,
        },
        64,
        (32, 16, 8),
        295_904_454,
    ),
    "ADM 128": (
        {**ADM, "mult": (1, 1, 2, 3, 4), "attention": (2, 3, 4), "heads": 4, "head_channels": 0},
        128,
        (32, 16, 8),
        421_529_606,
    ),
    "ADM 256": (ADM, 256, (32, 16, 8), 553_838_086),
    "ADM 256 unconditional, LSUN": ({**ADM, "classes": 0}, 256, (32, 16, 8), 552_814_086),
    "ADM 512": (
        {**ADM, "mult": (0.5, 1, 1, 2, 2, 4, 4), "attention": (4, 5, 6)},
        512,
        (32, 16, 8),
        558_997_638,
    ),
    "64 to 256": ({**UPSAMPLER, "heads": 4, "head_channels": 0}, 256, (32, 16, 8), None),
    "128 to 512": ({**UPSAMPLER, "attention": (4, 5)}, 512, (32, 16), None),
    "IDDPM CIFAR-10": ({**IDDPM, "mult": (1, 2, 2, 2), "attention": (1, 2)}, 32, (16, 8), 52_546_438),
    "IDDPM ImageNet 64": ({**IDDPM, "mult": (1, 2, 3, 4), "attention": (2, 3)}, 64, (16, 8), 121_063_942),
    "IDDPM ImageNet 64 by class": (
        {**IDDPM, "num_channels": 192, "mult": (1, 2, 3, 4), "attention": (2, 3), "classes": 1000},
        64,
        (16, 8),
        273_049_350,
    ),
    "IDDPM LSUN": (
        {
            **IDDPM,
            "num_res_blocks": 2,
            "mult": (1, 1, 2, 2, 4, 4),
            "attention": (4,),
            "heads": 1,
            "scale_shift": False,
        },
        256,
        (16,),
        None,
    ),
    "LDM-4 without a condition": (
        {
            "num_channels": 224,
            "mult": (1, 2, 3, 4),
            "attention": (1, 2, 3),
            "head_channels": 32,
            "updown": False,
            "scale_shift": False,
            "channels": (3, 3),
        },
        64,
        (32, 16, 8),
        274_056_163,
    ),
    "LDM-8 of LSUN churches": (
        {
            "num_channels": 192,
            "mult": (1, 2, 2, 4, 4),
            "attention": (0, 1, 2, 3),
            "heads": 8,
            "channels": (4, 4),
        },
        32,
        (32, 16, 8, 4),
        294_966_916,
    ),
}
"""Flags as published, the size, what attends, and the originals' parameters where they were counted."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_are_known_by_names_and_shapes(name: str, guided: Make) -> None:
    flags, size, resolutions, count = PUBLISHED[name]
    with torch.device("meta"):
        theirs = guided(**flags)
        bridge, inferred = known(theirs.state_dict())
        built = inferred.build()
    assert bridge.format == ("openai_new_order" if flags.get("new_order") else "openai")
    counts = [sum(parameter.numel() for parameter in module.parameters()) for module in (theirs, built)]
    assert set(counts) == {count or counts[0]}
    heads = (inferred.part.heads, inferred.part.head_channels)
    assert heads == (flags.get("heads") or None, flags.get("head_channels") or None)
    assert (inferred.shapes["space"].height, inferred.part.attention_resolutions) == (size, resolutions)
    into, out = flags.get("channels", (3, 6))
    assert inferred.part.learn_variance == (out == 6)
    assert inferred.shapes["condition"] == ConditionInfo(
        classes=flags.get("classes", 0), concat=3 if into == 6 else 0
    )


def test_the_user_s_answers_go_before_the_published(guided: Make) -> None:
    with torch.device("meta"):
        weights = guided(**ADM).state_dict()
    _, published = known(weights)
    assert published.told[1:4] == (
        "head_channels 64: ImageNet and LSUN 256, Dhariwal & Nichol 2021",
        "legacy order, queries, keys and values of each head together: ImageNet and LSUN 256, Dhariwal & Nichol 2021",
        "pixels attend at 32, 16, 8 of 256: ImageNet and LSUN 256, Dhariwal & Nichol 2021",
    )
    bridge, answered = known(weights, heads="4", attention_order="new", image_size="128")
    assert (bridge.format, answered.part.heads) == ("openai_new_order", 4)
    assert answered.told[1:4] == (
        "heads 4: as you say",
        "new order, all queries, then all keys, then all values: as you say",
        "pixels attend at 16, 8, 4 of 128: as you say",
    )
