"""Component `hugging_face`: what a YAML file says of it. Does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from diffloom.errors import DataError
from diffloom.kinds import Data, Examples, ImageInfo, Stream
from diffloom.picture import Crop, Framing, Resize
from diffloom_hub_data.from_column import FromColumn, Name

if TYPE_CHECKING:
    from typing import Self

Format = Literal["parquet", "arrow", "json", "csv", "imagefolder", "webdataset"]


class HuggingFace(Data):
    """What Hugging Face's library `datasets` reads: files on disk, and data sets of the hub.

    Files are Parquet, Arrow, JSON lines, CSV, WebDataset shards (`.tar`), a folder of pictures with or without
    `metadata.jsonl`, or a folder that `save_to_disk` wrote. Pictures are those inside the files, or files that a column
    names. They are framed as those of `image_folder`. Needs `pip install 'diffloom[datasets]'`.
    """

    name = "hugging_face"

    path: Name
    """A file, a pattern such as `shards/*.tar`, or a folder, from the current directory, `~` being the home folder; or
    else the name of a data set on the hub, `owner/name`."""
    format: Format | None = None
    """What the files are; null goes by their names."""
    configuration: Name | None = None
    """Which of a hub's data set's configurations, where it has several."""
    revision: Name | None = None
    """Which of its versions: a branch, a tag or a commit; null takes the newest."""
    split: Name = "train"
    """Which part of the data, as `datasets` writes it: `train`, or `train[:90%]` where they are not streamed."""
    streaming: bool = False
    """Read records one after another, and hold no more of them than the shuffle buffer. Otherwise files are brought to
    Arrow once, in `cache`, and read from there by memory map."""
    cache: Name | None = None
    """The folder for what is fetched and brought to Arrow; null is the library's own, which `HF_HOME` sets."""
    shuffle_buffer: PositiveInt = 1000
    """How many records of a stream are held and shuffled at once; as many more are read ahead."""
    picture: Name | None = None
    """The column of the picture; null takes the one column of pictures."""
    conditions: tuple[FromColumn, ...] | None = None
    """Conditions and their columns, `[{name: label, column: cls}, {name: prompt, column: json.caption}]`. Class labels,
    text, numbers and pictures can be conditions. Of each: `name`, `column`; for a picture perhaps `mask`, the column of
    its mask; for a label without class names perhaps `classes`, the names in the order of their ids, which or the ids
    of which the column then holds. null gives every column of class labels under its own name. Every example has `size`
    beside these, the picture's own size and its crop, unless a column gives it."""
    several: Literal["random", "first"] = "random"
    """Which of several captions an example has: another each time, or the first."""
    resize: Resize = "cover"
    """How a picture of another size is scaled: until it just covers the model's; `stretch`, to exactly its shape; or
    `none`, not at all."""
    crop: Crop = "center"
    """Which part of a picture of another shape is seen: its middle, or another part each time."""
    flip: bool = False
    """Mirror left and right half of the time."""
    unreadable: Literal["replace", "refuse"] = "replace"
    """What to do with pictures that cannot be decoded: put another example in the place of one and tell of it, when it
    is met; or decode every picture at the start, and stop and name all. A stream cannot be looked through before."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        from diffloom_hub_data.specimens import write_table

        path = str(folder / "specimens.parquet")
        write_table(folder / "specimens.parquet")
        label, prompt, number, pair = (
            FromColumn(name="label", column="label"),
            FromColumn(name="prompt", column="captions"),
            FromColumn(name="numbers", column="size"),
            FromColumn(name="image", column="image", mask="mask"),
        )
        each: tuple[dict[str, Any], ...] = (
            {},
            {"conditions": (prompt,), "several": "first", "unreadable": "refuse"},
            {"conditions": (label, prompt, number, pair), "crop": "random", "flip": True},
            {"conditions": (label, prompt), "flip": True, "streaming": True, "shuffle_buffer": 5},
        )
        usual: dict[str, Any] = {"path": path, "cache": str(folder / "cache"), "picture": "image"}
        return tuple(cls(**usual, **fields) for fields in each)

    @property
    def framing(self) -> Framing:
        """How pictures are brought to the model's shape."""
        return Framing(resize=self.resize, crop=self.crop, flip=self.flip)

    @property
    def deterministic(self) -> bool:
        return self.framing.deterministic and (self.several == "first" or self.conditions is None)

    def build(self, *, image: ImageInfo) -> Examples | Stream:
        """Open the data, and check labels and captions unless they are streamed.

        Raises DataError for what is not there or cannot be read, for columns that are missing or can be no conditions,
        and for labels and captions that are missing, empty or unknown: all of these at once.
        """
        if image.channels not in (1, 3):
            raise DataError(
                f"{self.name} gives pictures with 1 channel (grey) or 3 (RGB), not {image.channels}: "
                "set `image.channels` to 1 or 3"
            )
        if self.streaming and self.unreadable == "refuse":
            raise DataError(
                "data: `unreadable: refuse` looks at every picture before training, which a stream does not allow; "
                "leave it out, or set `streaming: false`"
            )
        from diffloom_hub_data.building import built

        return built(self, image=image)
