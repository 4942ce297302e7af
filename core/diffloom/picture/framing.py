"""Which part of a picture the model sees, and how large. Sizes and shapes are (height, width) throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

Resize: TypeAlias = Literal["cover", "stretch", "none"]
"""`cover` scales a picture until it just covers the model's, `stretch` to exactly its shape, `none` not at all."""
Crop: TypeAlias = Literal["center", "random"]
"""Which part is seen where a picture is larger than the model's."""


@dataclass(frozen=True)
class Frame:
    """One view of a picture. Its corner lies in whole pixels: what needs no scaling is cut out, and nothing else."""

    size: tuple[int, int]
    """Of the picture that it was drawn for."""
    box: tuple[float, float, float, float]
    """The part that is seen, in that picture's pixels: left, top, right, bottom."""
    shape: tuple[int, int]
    """Of the view."""
    mirrored: bool
    """Whether left and right are exchanged in the view."""

    def of(self, picture: Image.Image) -> Image.Image:
        """This view of the picture, or of another of the same aspect ratio that goes with it, whatever its size.

        Scaling is Pillow's bicubic, which widens its filter when it shrinks and so does not alias; only the part
        itself is looked at.
        """
        from PIL.Image import Resampling, Transpose

        height, width = self.size
        x_scale, y_scale = picture.width / width, picture.height / height
        left, top, right, bottom = self.box
        # A product of rounded quotients may pass the edge by one unit in the last place, which Pillow refuses.
        box = (
            left * x_scale,
            top * y_scale,
            min(right * x_scale, picture.width),
            min(bottom * y_scale, picture.height),
        )
        view = picture.resize(self.shape[::-1], Resampling.BICUBIC, box=box)
        return view.transpose(Transpose.FLIP_LEFT_RIGHT) if self.mirrored else view

    @property
    def kept(self) -> float:
        """The share of the picture's area that is seen."""
        (height, width), (left, top, right, bottom) = self.size, self.box
        return (right - left) * (bottom - top) / (height * width)

    @property
    def enlargement(self) -> float:
        """How many pixels of the view one of the picture's becomes, along the side that is stretched the most."""
        (height, width), (left, top, right, bottom) = self.shape, self.box
        return max(height / (bottom - top), width / (right - left))

    @property
    def size_crop(self) -> Mapping[str, tuple[int, int]]:
        """The condition of SDXL's micro-conditioning: the picture's own size, and how many pixels were cut off above
        and to the left of what is seen once it was scaled (Podell et al. 2023, section 2.2)."""
        (height, width), (left, top, right, bottom) = self.shape, self.box
        cut_left = self.size[1] - right if self.mirrored else left
        corner = (round(top * height / (bottom - top)), round(cut_left * width / (right - left)))
        return {"original_size": self.size, "crop_top_left": corner, "target_size": self.shape}


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How pictures are brought to the model's shape."""

    resize: Resize = "cover"
    crop: Crop = "center"
    flip: bool = False
    """Whether half of the views are mirrored."""

    @property
    def deterministic(self) -> bool:
        """Whether every view of a picture is the same."""
        return not self.flip and (self.crop == "center" or self.resize == "stretch")

    def fits(self, size: tuple[int, int], *, shape: tuple[int, int]) -> bool:
        """Whether there is a view of this shape: not of a picture that is smaller, where nothing is scaled."""
        return self.resize != "none" or (size[0] >= shape[0] and size[1] >= shape[1])

    def center(self, size: tuple[int, int], *, shape: tuple[int, int]) -> Frame:
        """The view of the middle. Raises ValueError for a picture that does not fit."""
        return self._frame(size, shape, rng=None)

    def draw(self, size: tuple[int, int], *, shape: tuple[int, int], rng: np.random.Generator) -> Frame:
        """A view: where to crop, then whether to flip, are drawn from `rng`; what is not random draws nothing.

        Raises ValueError for a picture that does not fit.
        """
        frame = self._frame(size, shape, rng=rng if self.crop == "random" else None)
        mirrored = self.flip and bool(rng.random() < 0.5)
        return Frame(frame.size, frame.box, frame.shape, mirrored)

    def _frame(
        self, size: tuple[int, int], shape: tuple[int, int], *, rng: np.random.Generator | None
    ) -> Frame:
        if not self.fits(size, shape=shape):
            raise ValueError(
                f"{size[0]}×{size[1]} pixels, and the model's picture has {shape[0]}×{shape[1]}; it is smaller, and "
                "`resize: none` scales nothing"
            )
        part_height, part_width = self._part(size, shape)
        slack_y, slack_x = int(size[0] - part_height), int(size[1] - part_width)
        if rng is None:
            left, top = slack_x // 2, slack_y // 2
        else:
            left, top = int(rng.integers(slack_x + 1)), int(rng.integers(slack_y + 1))
        return Frame(size, (left, top, left + part_width, top + part_height), shape, mirrored=False)

    def _part(self, size: tuple[int, int], shape: tuple[int, int]) -> tuple[float, float]:
        """Height and width of the part that is seen, in the picture's pixels."""
        if self.resize == "stretch":
            return size
        if self.resize == "none":
            return shape
        scale = min(size[1] / shape[1], size[0] / shape[0])  # pixels of the picture for one of ours
        return shape[0] * scale, shape[1] * scale
