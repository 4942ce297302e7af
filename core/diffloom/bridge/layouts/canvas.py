"""How large a model's pictures are, which no weight says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diffloom.bridge.contract import AmbiguousError
from diffloom.bridge.pieces import Known
from diffloom.bridge.reading import Reading
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo

PROBE = 1024
"""Pixels of the picture by which a space's factor is found: divisible by every factor in use."""
OFFERED = (32, 64, 256, 512)
"""Sizes that are offered where nothing says one."""


@dataclass(frozen=True)
class Canvas:
    """The picture, and what a network in its space is told of it."""

    pixels: int
    """Of the picture's side."""
    inside: Reading
    """How a network of the space is read: there the user's `image_size` is the space's."""


def canvas_of(
    reading: Reading,
    space: Known | None,
    *,
    place: str,
    latents: int | None = None,
    pixels: int | None = None,
) -> Canvas:
    """The user's answer, or else so many `pixels`, or so many `latents` of the space.

    Raises AmbiguousError where nothing says a size, and CheckpointError for one that the space cannot divide.
    """
    factor = 1
    if space is not None:
        probe = ImageInfo(height=PROBE, width=PROBE, channels=space.inferred.shapes["image"].channels)
        factor = PROBE // space.inferred.part.info(probe).height
    found = _answer(reading.assume) or pixels or (latents and latents * factor)
    if not found:
        choices = {f"image_size={size}": f"pictures of {size} × {size} pixels" for size in OFFERED}
        raise AmbiguousError(place, "nothing says how large its pictures are", choices)
    if found % factor:
        raise CheckpointError(f"{place}: pictures of {found} pixels, and its space divides them by {factor}")
    return Canvas(found, reading.answered(image_size=str(found // factor)))


def _answer(assume: Mapping[str, str]) -> int | None:
    answer = assume.get("image_size")
    if answer is None:
        return None
    if not answer.isdecimal() or int(answer) == 0:
        raise CheckpointError(f"--assume image_size={answer}: expected a number of pixels")
    return int(answer)
