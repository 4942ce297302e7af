"""Shapes for pictures of many aspect ratios. Sizes and shapes are (height, width)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from diffloom.kinds import Section

FILLED = 0.9
"""The least share of the base picture's pixels that a shape has. None has more than all, so that whatever memory the
base needs is enough. For 1024 pixels, multiples of 64 and ratios up to 4 this gives SDXL's shapes (Podell et al. 2023,
appendix I)."""


class Buckets(Section):
    """Beside the picture's shape others of about as many pixels: every example has the one nearest to its own aspect
    ratio, and loses little to cropping."""

    multiple: PositiveInt = 64
    """Heights and widths are multiples of it. An autoencoder and the network's levels ask for one: 64 suits latents of
    an eighth that are halved three times."""
    largest_ratio: Annotated[float, Field(ge=1)] = 2.0
    """Of the longer side to the shorter."""

    def shapes(self, base: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """All of them, from the tallest to the widest; `base` is the picture's own.

        Raises ValueError where that is none of them, or the only one.
        """
        if base[0] % self.multiple or base[1] % self.multiple:
            raise ValueError(
                f"image.size of {base[0]}×{base[1]} is not divisible by image.buckets.multiple {self.multiple}; "
                "change either"
            )
        pixels = base[0] * base[1]
        sides = range(self.multiple, pixels // self.multiple + 1, self.multiple)
        found = [
            (height, width)
            for height in sides
            for width in range(self.multiple, pixels // height + 1, self.multiple)
            if height * width >= FILLED * pixels
            and max(height, width) <= self.largest_ratio * min(height, width)
        ]
        if base not in found:
            raise ValueError(
                f"image.size of {base[0]}×{base[1]} itself has sides of a larger ratio than "
                f"image.buckets.largest_ratio {self.largest_ratio:g}; raise that"
            )
        if len(found) == 1:
            raise ValueError(
                f"image.buckets: beside {base[0]}×{base[1]} there is no shape of multiples of {self.multiple} with "
                f"about as many pixels and a ratio up to {self.largest_ratio:g}; lower `multiple`, or raise "
                "`largest_ratio`"
            )
        return tuple(sorted(found, key=lambda shape: shape[1] / shape[0]))
