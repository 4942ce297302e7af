"""One process's part in drawing a collection of images. Legend: B images, H height, W width, C channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from diffloom.drawing.archive import Archive
from diffloom.drawing.fitting import decoding, drawn, walking
from diffloom.drawing.folder import ImageFolder
from diffloom.drawing.manifest import Manifest, settings_of
from diffloom.drawing.place import Place
from diffloom.drawing.share import Share
from diffloom.drawing.writer import Writer
from diffloom.errors import DiffloomError
from diffloom.output import Output
from diffloom.pictures import eight_bit

if TYPE_CHECKING:
    from diffloom.process import Step
    from diffloom.sampling import SamplingPlan


class Collection(Protocol):
    """Where the images are kept."""

    path: Path
    workplace: Path
    """The folder that is worked in."""

    def begin(self, manifest: Manifest) -> Manifest:
        """Begin, or go on as the manifest says that is there. Raises RunError where other images are there."""
        ...

    def has(self, rows: range) -> bool:
        """Whether these images are there, and whole."""
        ...

    def write(
        self, rows: range, bytes_BHWC: NDArray[np.uint8], recipe_of: Callable[[int], Mapping[str, Any]]
    ) -> None:
        """Write the images of a unit, those that are there already excepted; `recipe_of` is asked by row of the unit.

        Raises DiffloomError where that fails.
        """
        ...

    @property
    def is_finished(self) -> bool:
        """Whether `finish` has been called."""
        ...

    def finish(self, manifest: Manifest, labels: NDArray[np.int64] | None) -> None:
        """All are there: note it, and clear away what nobody needs any more."""
        ...


def collection_at(path: Path) -> Collection:
    """An archive for a name that ends so, else a folder. Raises DiffloomError for a name of another file."""
    if path.suffix.lower() == ".npz":
        return Archive(path)
    if path.suffix:
        raise DiffloomError(
            f"{path}: give a folder for single images, or a .npz file for one array of all of them"
        )
    return ImageFolder(path)


@dataclass
class Collecting:
    """Draws what is missing of a collection: units of images, of which each process takes its own in turn."""

    plan: SamplingPlan
    collection: Collection
    batch_size: int
    """Images that are drawn together, where this begins the collection; and the most in the network at once."""
    share: Share
    on_step: Callable[[Step], object] | None = None
    on_images: Callable[[int, bool], object] | None = None
    """Told how many more of this process's images are there, and whether they were drawn just now."""
    stop: Callable[[], bool] = lambda: False
    """Asked after each unit; a true answer ends the work."""

    def run(self) -> bool:
        """Draw what is missing; returns whether all is there, and this process is the one to say so.

        Of several processes that is the last one to end. Raises RunError for a place that cannot be used.
        """
        with Place(self.collection.workplace, self.share) as place:
            unit = min(self.batch_size, len(self.plan.keys))
            manifest = self.collection.begin(Manifest(settings=settings_of(self.plan), unit=unit))
            self._draw(manifest.unit)
            return self._finished(manifest, place)

    def _draw(self, unit: int) -> None:
        missing = set()
        for number, rows in enumerate(self._units(unit)):
            if self.share.of(number):
                if self.collection.has(rows):
                    self._tell(len(rows), drawn=False)
                else:
                    missing.add(number)
        self._walking, self._decoding = walking(self.batch_size), decoding()
        units = zip(self._units(unit), self.plan.batches(unit), strict=True)
        with Writer() as writer:
            for number, (rows, part) in enumerate(units):
                if number not in missing:
                    continue
                writer.put(self.collection.write, rows, self._pixels(part), Recipes(part))
                self._tell(len(rows), drawn=True)
                if self.stop():
                    return

    def _pixels(self, part: SamplingPlan) -> NDArray[np.uint8]:
        tensors = drawn(part, walking=self._walking, decoding=self._decoding, on_step=self.on_step)
        return np.concatenate([eight_bit(x_BCHW) for _, x_BCHW in tensors])

    def _finished(self, manifest: Manifest, place: Place) -> bool:
        """Finish the collection where it is complete and nobody has yet; returns whether this process says so."""
        with place.one_by_one():
            unit = manifest.unit
            if not all(self.collection.has(rows) for rows in self._units(unit)):
                return False
            if not self.collection.is_finished:
                self.collection.finish(manifest, labels_of(self.plan))
                place.clear()
                return True
            place.clear()
            return self.share.count == 1 or (manifest.finished and self.share.is_main)

    def _units(self, unit: int) -> list[range]:
        """The images of each unit."""
        count = len(self.plan.keys)
        return [range(start, min(start + unit, count)) for start in range(0, count, unit)]

    def _tell(self, images: int, *, drawn: bool) -> None:
        if self.on_images is not None:
            self.on_images(images, drawn)


class Recipes:
    """The recipes of a part's samples, made when they are asked for."""

    def __init__(self, part: SamplingPlan) -> None:
        self._part = part
        self._output: Output | None = None

    def __call__(self, row: int) -> Mapping[str, Any]:
        if self._output is None:
            self._output = Output(tensor=torch.empty(0), recipe=self._part.recipe)
        return self._output.recipe_of(row)


def labels_of(plan: SamplingPlan) -> NDArray[np.int64] | None:
    """The classes, where exactly one condition is a whole number for every sample."""
    numbered = [values for values in plan.raw.values() if all(type(value) is int for value in values)]
    return np.asarray(numbered[0], dtype=np.int64) if len(numbered) == 1 else None
