"""The configuration of a folder of captioned pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from diffloom.kinds import Examples, ImageInfo
from diffloom_data.from_folder import Name
from diffloom_data.picture_folder import PictureFolder

if TYPE_CHECKING:
    from typing import Self


class CaptionedFolder(PictureFolder):
    """Pictures in a folder and its sub-folders, each with a caption, or several to draw from.

    Captions stand in one file of JSON lines, `{"file": "cats/1.png", "caption": "a cat"}`, where the caption
    may be a list of several; or in a text file beside each picture (`1.txt` for `1.png`), where every line is a
    caption. The pictures are scaled to cover the model's picture, cropped and checked as those of `image_folder`.
    """

    name = "captioned_folder"

    captions: Name | None = "captions.jsonl"
    """The file of JSON lines, from the folder of the pictures; null reads the text file beside each picture."""
    file_key: Name | None = None
    """What the lines call the picture's path, from the folder; null takes `file` or `file_name`."""
    caption_key: Name | None = None
    """What the lines call the caption; null takes `caption` or `text`."""
    several: Literal["random", "first"] = "random"
    """Which of several captions an example has: another each time, or the first."""
    condition: Name = "prompt"
    """The condition that the captions are."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        import numpy as np
        from PIL import Image

        lines = []
        pixels_NHWC = np.random.default_rng(0).integers(0, 256, (4, 40, 50, 3), dtype=np.uint8)
        for index, pixels_HWC in enumerate(pixels_NHWC):
            Image.fromarray(pixels_HWC).save(folder / f"{index}.png")
            words = [f"picture {index}", f"noise of seed 0, row {index}"]
            (folder / f"{index}.txt").write_text("\n".join(words))
            lines.append(json.dumps({"file": f"{index}.png", "caption": words}))
        (folder / "captions.jsonl").write_text("\n".join(lines))
        path = str(folder)
        return (
            cls(path=path, several="first"),
            cls(path=path, captions=None, condition="words", crop="random", flip=True),
        )

    @property
    def known_by(self) -> tuple[str, ...]:
        return (*super().known_by, self.condition)

    @property
    def deterministic(self) -> bool:
        return super().deterministic and self.several == "first"

    def build(self, *, image: ImageInfo) -> Examples:
        """List and check pictures and captions.

        Raises DataError as `image_folder` does, and for a captions file that is missing, for lines that are not
        understood, captions that are empty or stand twice, and captions without pictures or the reverse: all at once.
        """
        self.require_channels(image)
        from diffloom_data.caption_file import captions_in_lines
        from diffloom_data.caption_texts import captions_beside
        from diffloom_data.captioned_examples import CaptionedExamples
        from diffloom_data.listing import picture_files

        files, _ = picture_files(self.folder, without=self.beside)
        if self.captions is None:
            captions = captions_beside(self.folder, files)
        else:
            captions = captions_in_lines(
                self.folder / self.captions, files, file_key=self.file_key, caption_key=self.caption_key
            )
        if self.several == "first":
            captions = {name: known[:1] for name, known in captions.items()}
        return CaptionedExamples(self.album(files, image=image), captions=captions, condition=self.condition)
