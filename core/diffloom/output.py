"""What sampling gives back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Output:
    """Samples and how they came to be. Legend: N samples, C channels, H height, W width."""

    tensor: Tensor
    """(N, C, H, W) in [-1, 1], float32 on the CPU."""
    recipe: dict[str, Any]
    """Everything needed to draw them again: config and weights digests, seeds, sampling, conditions, version."""

    @cached_property
    def images(self) -> list[Image]:
        """PIL images, 8 bit."""
        from diffloom.pictures import images  # with it comes PIL, which tensors do without

        return images(self.tensor)

    def grid(self, *, columns: int | None = None) -> Image:
        """All samples on one sheet; tiny pictures are enlarged to at least 64 pixels without smoothing."""
        from diffloom.pictures import grid

        return grid(self.images, columns=columns, tile_px=64)

    def recipe_of(self, index: int) -> dict[str, Any]:
        """The recipe of one sample."""
        return recipe_of_sample(self.recipe, index)


def recipe_of_sample(recipe: dict[str, Any], index: int) -> dict[str, Any]:
    """The recipe of one of the samples that a recipe is of."""
    one: dict[str, Any] = {
        part: {key: [values[index]] for key, values in recipe[part].items()}
        for part in ("conditions", "negative")
        if part in recipe
    }
    if "also" in recipe:
        one["also"] = [
            [weight, {key: [values[index]] for key, values in raw.items()}] for weight, raw in recipe["also"]
        ]
    sampling = recipe["sampling"]
    if isinstance(sampling["guidance"], dict):
        one["sampling"] = {**sampling, "guidance": _of_sample(sampling["guidance"], index)}
    return {**recipe, "seeds": [recipe["seeds"][index]], **one}


def _of_sample(guidance: dict[str, Any], index: int) -> dict[str, Any]:
    """A guidance as written, its scales and those of its parts for one sample, where each has its own."""
    one = dict(guidance)
    if isinstance(one.get("scale"), list):
        one["scale"] = one["scale"][index]
    if "parts" in one:
        one["parts"] = [_of_sample(part, index) for part in one["parts"]]
    return one
