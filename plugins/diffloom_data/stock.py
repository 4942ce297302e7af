"""A folder of pictures with all that goes with them, each file looked at once. Sizes and shapes are (height, width)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffloom.kinds import ImageInfo
from diffloom.picture import Framing
from diffloom_data.check import Outcome, check_files
from diffloom_data.listing import File
from diffloom_data.partners import Partner, goes_with, matched
from diffloom_data.told import listed


@dataclass(frozen=True, slots=True)
class Item:
    """One picture and what goes with it."""

    file: File
    outcome: Outcome
    beside: dict[Partner, tuple[File, Outcome]]
    """Of each partner that has a file for it."""

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture, upright."""
        return self.outcome.size

    @property
    def failures(self) -> list[str]:
        """Why it cannot be read; empty for one that can."""
        own = [f"{self.file.name}: {self.outcome.failure}"] if self.outcome.failure else []
        return own + [
            f"{partner.folder.name}/{file.name}: {outcome.failure}"
            for partner, (file, outcome) in self.beside.items()
            if outcome.failure
        ]


class Stock:
    """What there is. Its methods tell what stands against it, each in one text, or nothing."""

    def __init__(self, folder: Path, files: Sequence[File], partners: Sequence[Partner]) -> None:
        """Decode what was not decoded at an earlier start. Raises DataError for a folder that cannot be read."""
        self.folder = folder
        self.partners = partners
        self.spare: list[str] = []
        """Files of partners that go with no picture."""
        beside: list[dict[Partner, tuple[File, Outcome]]] = [{} for _ in files]
        for partner in partners:
            found, spare = matched(partner, [file.name for file in files])
            self.spare += [f"{partner.folder.name}/{name}: goes with no picture" for name in spare]
            present = [(index, file) for index, file in enumerate(found) if file is not None]
            outcomes = check_files(partner.folder, [file for _, file in present])
            for (index, file), outcome in zip(present, outcomes, strict=True):
                beside[index][partner] = (file, outcome)
        self.items = [
            Item(file, outcome, others)
            for file, outcome, others in zip(files, check_files(folder, files), beside, strict=True)
        ]

    @property
    def readable(self) -> list[Item]:
        """What can be decoded, with all that goes with it."""
        return [item for item in self.items if not item.failures]

    @property
    def unreadable(self) -> list[str]:
        """What cannot, each with the reason."""
        return sorted(failure for item in self.items for failure in item.failures)

    def told_missing(self) -> Iterator[str]:
        """Pictures that lack a partner."""
        for partner in self.partners:
            missing = [item.file.name for item in self.items if partner not in item.beside]
            if missing:
                yield (
                    f"{partner.folder}: {len(missing)} of {len(self.items)} pictures have no {partner.condition} of "
                    "the same name here, or several; add what is missing, or remove these pictures:\n"
                    f"{listed(missing)}"
                )

    def told_mismatched(self) -> Iterator[str]:
        """Partners that show another part of the scene."""
        for partner in self.partners:
            other = [
                f"{item.file.name}: {_pixels(item.size)}, and its {partner.condition} {_pixels(size)}"
                for item in self.readable
                if partner in item.beside and not goes_with(item.size, size := item.beside[partner][1].size)
            ]
            if other:
                yield (
                    f"{partner.folder}: {len(other)} of {len(self.items)} pictures have another aspect ratio than "
                    f"their {partner.condition}, which cannot be cropped together with them:\n{listed(other)}"
                )

    def told_too_small(self, framing: Framing, image: ImageInfo) -> Iterator[str]:
        """Pictures that have no part as large as the model's."""
        small = [
            f"{item.file.name}: {_pixels(item.size)}"
            for item in self.readable
            if not framing.fits(item.size, shape=image.shape_for(item.size))
        ]
        if small:
            yield (
                f"{self.folder}: {len(small)} of {len(self.items)} pictures are smaller than the model's "
                f"{_pixels((image.height, image.width))}, and `resize: none` scales nothing; remove them, or set "
                f"`resize: cover`:\n{listed(small)}"
            )

    def told_enlarged(self, framing: Framing, image: ImageInfo) -> Iterator[str]:
        """How many pictures have fewer pixels than the model's: enlarging them blurs what is learned."""
        sizes = Counter(item.size for item in self.readable)
        count = sum(
            number
            for size, number in sizes.items()
            if framing.center(size, shape=image.shape_for(size)).enlargement > 1
        )
        if count:
            shape = "their bucket" if image.shapes else _pixels((image.height, image.width))
            yield (
                f"{self.folder}: {count} of {sizes.total()} pictures are smaller than {shape} and are enlarged"
            )


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
