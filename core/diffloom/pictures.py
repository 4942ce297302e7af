"""Tensors in [-1, 1] → pictures: single images, grids, film strips; PNG files that carry their recipe."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from diffloom.errors import DiffloomError

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Step

RECIPE = "diffloom"
"""The PNG text chunk that holds the recipe, as JSON."""


def images(x_BCHW: Tensor) -> list[Image.Image]:
    """One 8-bit PIL image for each row: L for 1 channel, RGB for 3. Values beyond [-1, 1] are clamped.

    Raises ValueError for other numbers of channels.
    """
    return [picture(pixels_HWC) for pixels_HWC in eight_bit(x_BCHW)]


def eight_bit(x_BCHW: Tensor) -> NDArray[np.uint8]:
    """Pixels (B, H, W, C) of tensors (B, C, H, W). Values beyond [-1, 1] are clamped."""
    bytes_BCHW = ((x_BCHW.detach().double().clamp(-1, 1) + 1) * 127.5).round().byte()
    pixels_BHWC: NDArray[np.uint8] = bytes_BCHW.movedim(1, -1).contiguous().cpu().numpy()
    return pixels_BHWC


def picture(pixels_HWC: NDArray[np.uint8]) -> Image.Image:
    """The PIL image of such pixels. Raises ValueError unless they have 1 or 3 channels."""
    channels = pixels_HWC.shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"pictures have 1 or 3 channels, not {channels}")
    return Image.fromarray(pixels_HWC[..., 0] if channels == 1 else pixels_HWC)


def grid(
    tiles: Sequence[Image.Image], *, columns: int | None = None, tile_px: int = 1, gap_px: int = 2
) -> Image.Image:
    """The tiles row by row on white, in a near square unless `columns` says otherwise.

    Tiles smaller than `tile_px` are enlarged by a whole factor without smoothing, so that small pictures can be seen.
    """
    width, height = tiles[0].size
    factor = max(1, math.ceil(tile_px / max(width, height)))
    columns = columns or math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    step_x, step_y = width * factor + gap_px, height * factor + gap_px
    sheet = Image.new(tiles[0].mode, (columns * step_x + gap_px, rows * step_y + gap_px), color="white")
    for index, tile in enumerate(tiles):
        enlarged = tile.resize((width * factor, height * factor), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (gap_px + index % columns * step_x, gap_px + index // columns * step_y))
    return sheet


def film_strip(
    steps: Iterable[Step], *, decode: Callable[[Tensor], Tensor], frames: int = 10, tile_px: int = 64
) -> Image.Image:
    """The first sample's denoising at evenly spread steps, noisy to clean: x_t above, the predicted x₀ below."""
    walk = list(steps)
    chosen = [walk[round(i)] for i in np.linspace(0, len(walk) - 1, min(frames, len(walk)))]
    rows = [[step.x_t_BCHW[:1] for step in chosen], [step.x0_BCHW[:1] for step in chosen]]
    return grid([images(decode(x))[0] for row in rows for x in row], columns=len(chosen), tile_px=tile_px)


def save_png(image: Image.Image, path: Path, *, recipe: Mapping[str, Any] | None = None) -> None:
    """Write a PNG whole or not at all, with its recipe in a text chunk. Raises DiffloomError where it cannot."""
    info = PngInfo()
    if recipe is not None:
        info.add_itxt(RECIPE, json.dumps(recipe))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(temporary, format="PNG", pnginfo=info)
        temporary.replace(path)
    except OSError as error:
        raise DiffloomError(f"{path}: cannot write the picture: {error.strerror or error}") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe a PNG carries. Raises DiffloomError when it has none."""
    try:
        with Image.open(path) as image:
            text = getattr(image, "text", {}).get(RECIPE)
    except OSError as error:
        raise DiffloomError(f"{path}: cannot read the picture: {error.strerror or error}") from error
    if text is None:
        raise DiffloomError(f"{path}: carries no diffloom recipe")
    recipe: dict[str, Any] = json.loads(text)
    return recipe
