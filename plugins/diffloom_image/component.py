"""Component `image`: what a YAML file says of it. Does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PositiveFloat

from diffloom.kinds import Codec, Conditioner, ConditionInfo, Setting

if TYPE_CHECKING:
    from typing import Self

    from torch import nn

    from diffloom_image.picture import Picture


class ImageCondition(Conditioner):
    """A picture, or one to be repainted under a mask, stacked on the network's input.

    Given as a file (`--image low.png`), a PIL image, bytes (H, W, 3) or floating-point numbers (C, H, W) in [-1, 1].
    With `mask`, given as a pair (`--image photo.png,mask.png`) of equal size. Grey pictures become RGB where the
    model's are. The null condition is all zeros.
    """

    name = "image"

    through: Literal["pixels", "space"] = "pixels"
    """What is stacked: the picture itself, at the height and width of the space (super-resolution); or what the model's
    space makes of it (image-to-image, inpainting in latents)."""
    resize: Literal["nearest", "bilinear", "bicubic"] | None = None
    """How a picture of the right shape and another size is brought to it, with antialiasing; null refuses it. A picture
    of another shape is always refused."""
    mask: bool = False
    """Stack a mask too, 1 where the picture is to be repainted, and grey out the picture there. The mask is stacked
    first."""
    scale: PositiveFloat = 1.0
    """Multiplies what the space makes of the picture. InstructPix2Pix leaves out the normalisation of latents:
    1 / 0.18215 = 5.4899808 takes it back."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        import numpy as np
        from PIL import Image

        pixels_NHWC = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
        files = [folder / f"{index}.png" for index in range(3)]
        for file, pixels_HWC in zip(files, pixels_NHWC, strict=True):
            Image.fromarray(pixels_HWC).save(file)

        class Specimen(cls):  # type: ignore[misc, valid-type]
            """A picture, stacked on the network's input; written on the command line as one of the files made here."""

            specimen_texts: ClassVar[tuple[str, ...]] = (
                *map(str, files),
                f"{files[0]},{files[2]}",
                f"{files[1]},{files[2]}",
            )

        return (Specimen(dropout=0.1), Specimen(through="space", mask=True, scale=2.0, resize="bicubic"))

    def info(self, setting: Setting) -> ConditionInfo:
        shape = setting.image if self.through == "pixels" else setting.space
        return ConditionInfo(concat=shape.channels + self.mask)

    def parse(self, text: str) -> Picture:
        if not self.mask:
            return self.check(text)
        picture, comma, mask = text.rpartition(",")
        if not comma:
            raise ValueError(f"expected a picture and its mask, photo.png,mask.png; got {text!r}")
        return self.check((picture, mask))

    def check(self, raw: Any) -> Picture:
        from diffloom_image.picture import Picture
        from diffloom_image.reading import read_mask, read_picture

        if isinstance(raw, Picture):
            if (raw.mask_HW is not None) != self.mask:
                raise ValueError(
                    f"{raw.called}: {'has no mask' if self.mask else 'has a mask, which is not used'}"
                )
            return raw
        if not self.mask:
            return Picture(read_picture(raw), file=_file(raw))
        if not isinstance(raw, tuple) or len(raw) != 2:
            raise ValueError("expected a pair (picture, mask)")
        picture = Picture(read_picture(raw[0]), read_mask(raw[1]), _file(raw[0]))
        assert picture.mask_HW is not None
        if picture.mask_HW.shape != picture.size:
            sizes = [f"{height}×{width}" for height, width in (picture.size, picture.mask_HW.shape)]
            raise ValueError(
                f"{picture.called} has {sizes[0]} pixels and its mask {sizes[1]}; give them one size"
            )
        return picture

    def recorded(self, raw: Any) -> Any:
        return raw.recorded()

    def build(self, *, setting: Setting, codec: Codec) -> nn.Module:
        """An `ImageEncoder`."""
        from diffloom_image.encoder import ImageEncoder

        return ImageEncoder(
            setting=setting,
            codec=codec if self.through == "space" else None,
            resize=self.resize,
            mask=self.mask,
            scale=self.scale,
        )


def _file(raw: Any) -> str | None:
    return str(raw) if isinstance(raw, str | Path) else None
