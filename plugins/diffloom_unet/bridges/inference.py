"""What every bridge of a U-Net does with what it has read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from diffloom.bridge import Foreign, Inferred
from diffloom.errors import CheckpointError
from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo

SIZES = (16, 32, 64, 128, 256, 512)
"""Sides of a space that are offered where nothing says which."""
SIDE = 64
"""The side that is taken where nothing says which and the network is the same at every one."""


def inferred(
    component: type[Backbone],
    foreign: Foreign,
    fields: Mapping[str, Any],
    *,
    channels_in: int,
    channels_out: int,
    space_channels: int | None = None,
    size: tuple[int, int],
    condition: ConditionInfo,
    told: Sequence[str],
) -> Inferred:
    """The component with these fields, whose convolutions take and give so many channels.

    The space has the lesser number of them, where `space_channels` says no other. Twice as many out are predictions
    with their variances; what more goes in is a picture stacked on the input. Raises CheckpointError for other
    numbers, and for what the component refuses.
    """
    place = foreign.tensors.place
    space_channels = space_channels or min(channels_in, channels_out)
    if channels_out not in (space_channels, 2 * space_channels):
        raise CheckpointError(
            f"{place}: {channels_in} channels in and {channels_out} out, neither as many nor twice as many"
        )
    learn_variance, concat = channels_out > space_channels, channels_in - space_channels
    space = SpaceInfo(channels=space_channels, height=size[0], width=size[1])
    condition = replace(condition, concat=concat)
    try:
        part = component(**fields, learn_variance=learn_variance)
        part.check(space=space, condition=condition)
    except ValidationError as error:
        problems = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise CheckpointError(f"{place}: {problems}") from None
    except ValueError as error:
        raise CheckpointError(f"{place}: {error}") from None
    also = []
    if learn_variance:
        also.append(f"{channels_out} channels out: predictions of {space_channels}, and their variances")
    if concat:
        also.append(f"{channels_in} channels in: a picture of {concat} stacked on {space_channels}")
    return Inferred(part, {"space": space, "condition": condition}, (*told, *also))


def answer(foreign: Foreign, question: str) -> int | None:
    """The user's answer to a question for a number; None without one. Raises CheckpointError for no number."""
    said = foreign.assume.get(question)
    if said is None:
        return None
    if not said.isdecimal() or not int(said):
        raise CheckpointError(
            f"{foreign.tensors.place}: --assume {question}={said}: it is a number from 1 on"
        )
    return int(said)


def size_choices(levels: int, attending: Sequence[int]) -> dict[str, str]:
    """Sizes of pictures that so many levels can halve, and at which pixels these of them attend."""
    return {
        f"image_size={size}": f"pixels attend at {listed(size >> level for level in attending)} of {size}"
        for size in SIZES
        if size % (1 << (levels - 1)) == 0
    }


def listed(numbers: Iterable[int]) -> str:
    """Numbers as a reader says them."""
    return ", ".join(map(str, numbers)) or "none"
