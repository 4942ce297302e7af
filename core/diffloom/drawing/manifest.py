"""What a collection of images is: written when it begins, compared when it is gone on with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffloom.config.plain import plain
from diffloom.errors import RunError
from diffloom.training.changes import changes
from diffloom.training.replacement import replace_text

if TYPE_CHECKING:
    from diffloom.sampling import SamplingPlan

NAME = "samples.json"
FORMAT = 1
SHOWN = 4
"""Values of a long list that are shown as they are; the digest speaks for all."""


@dataclass(frozen=True)
class Manifest:
    """How all images of a collection are drawn."""

    settings: Mapping[str, Any]
    """Everything that the images depend on, but for rounding."""
    unit: int
    """Images that are drawn together: the same ones however often drawing was stopped, and by however many processes,
    so that each image is the same to the last bit."""
    finished: bool = False
    """Whether all images are there, and this has been told."""
    format: int = FORMAT

    def to_json(self) -> str:
        """The file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @property
    def done(self) -> Manifest:
        """The same, finished."""
        return replace(self, finished=True)


def settings_of(plan: SamplingPlan) -> dict[str, Any]:
    """What is common to the plan's samples, and of what each has for itself as much as tells lists apart."""
    first = next(plan.batches(1))
    recipe = {key: value for key, value in first.recipe.items() if key != "seeds"}
    conditioners = plan.pipeline.document.conditioners

    def told(raw: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        return {
            name: _told([None if value is None else conditioners[name].recorded(value) for value in values])
            for name, values in raw.items()
        }

    recipe |= {"images": len(plan.keys), "seed": _told_seed(plan.keys), "conditions": told(plan.raw)}
    if isinstance(recipe["sampling"]["guidance"], dict):  # of the first sample; here the scales of all
        recipe["sampling"]["guidance"] = plain(plan.section)["guidance"]
    if plan.negative:
        recipe["negative"] = told(plan.negative)
    if plan.also:
        recipe["also"] = [[weight, told(raw)] for weight, raw in plan.also]
    if plan.start_BCHW is not None:
        recipe["start"] = plan.recipe["start"]
    as_read: dict[str, Any] = json.loads(json.dumps(recipe))  # tuples become lists
    return as_read


def begun(path: Path, manifest: Manifest) -> Manifest:
    """The manifest at `path`, written there if there is none: of several processes, the first one's.

    Raises RunError, which names what differs, for a collection that was begun with other settings.
    """
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        hidden.write_text(manifest.to_json(), encoding="utf-8")
        os.link(hidden, path)  # whole, and only if none is there
    except FileExistsError:
        return _agreed(path, manifest)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror}; choose another folder with -o"
        ) from error
    finally:
        hidden.unlink(missing_ok=True)
    return manifest


def read(path: Path) -> Manifest:
    """The manifest at `path`. Raises RunError where it is none."""
    try:
        return parsed(path.read_text(encoding="utf-8"), place=path)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}; choose another -o") from error


def parsed(text: str, *, place: Path) -> Manifest:
    """The manifest that a text is. Raises RunError where it is none."""
    try:
        fields = json.loads(text)
        newer = fields["format"] > FORMAT
        manifest = Manifest(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{place}: is damaged: {error}; remove it with its images, or choose another -o"
        ) from error
    if newer:
        raise RunError(f"{place}: was written by a newer diffloom; update with `pip install -U diffloom`")
    return manifest


def finish(path: Path, manifest: Manifest) -> None:
    """Note that all images are there. Raises RunError when it cannot be written."""
    replace_text(path, manifest.done.to_json())


def _agreed(path: Path, manifest: Manifest) -> Manifest:
    there = read(path)
    require_same(there, manifest, place=path.parent)
    return there


def require_same(there: Manifest, asked: Manifest, *, place: Path) -> None:
    """Raises RunError naming the settings in which two manifests differ."""
    found = changes(there.settings, asked.settings)
    if found:
        told = "\n".join(f"  {change}" for change in found)
        raise RunError(
            f"{place}: was begun with other settings; ask for the same ones to go on, or choose another -o\n{told}"
        )


def _told(values: Sequence[Any]) -> Any:
    """A list's only value, the list itself where it is short, or its beginning with a digest of all."""
    if all(value == values[0] for value in values):
        return values[0]
    if len(values) <= SHOWN:
        return list(values)
    text = json.dumps(list(values), ensure_ascii=False)
    return {"begins": list(values[:SHOWN]), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _told_seed(keys: Sequence[tuple[int, int]]) -> Any:
    seed = keys[0][0]
    if all(key == (seed, index) for index, key in enumerate(keys)):
        return seed
    return _told([list(key) for key in keys])
