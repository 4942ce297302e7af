"""A path → the networks in it, one by one, whatever else a whole model would need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from diffloom.bridge.layouts.pipeline_folder import INDEX, SPACES, TOWERS, part_of
from diffloom.bridge.layouts.single_file import BACKBONE, SPACE, averages_of, encoders_of, is_single_file
from diffloom.bridge.pieces import Known
from diffloom.bridge.reading import Reading
from diffloom.bridge.sources.opened import Opened
from diffloom.bridge.sources.weight_files import read_json
from diffloom.bridge.tensors import Tensors


@dataclass(frozen=True)
class Network:
    """One network of a source."""

    name: str
    """What the source calls it."""
    kind: str | None
    """The kind of our component that it is; None where the source is nothing but this network."""
    opened: Opened

    @property
    def best(self) -> Tensors:
        """Its averaged weights, or those it has."""
        return self.opened.averages or self.opened.tensors

    def known(self, reading: Reading) -> Known:
        """What network of ours it is. Raises CheckpointError."""
        opened = self.opened
        return reading.known(
            self.name, self.kind, opened.tensors, averages=opened.averages, config=opened.config
        )


def networks_of(path: Path, reading: Reading) -> list[Network]:
    """Every network of a pipeline's folder, of a single-file model, or of a component's folder or file."""
    if (path / INDEX).exists():
        return list(_of_folder(path, reading))
    opened = reading.open(path)
    if is_single_file(opened.tensors):
        return list(_of_single_file(opened.tensors))
    return [Network("network", None, opened)]


def _of_folder(folder: Path, reading: Reading) -> Iterator[Network]:
    index = read_json(folder / INDEX)
    kinds = {
        **dict.fromkeys(SPACES, "space"),
        **dict.fromkeys(TOWERS, "conditioner"),
        "unet": "backbone",
    }
    for key, kind in kinds.items():
        if isinstance(index.get(key), list) and index[key] != [None, None]:
            yield Network(key, kind, reading.open(part_of(folder, key)))


def _of_single_file(tensors: Tensors) -> Iterator[Network]:
    yield Network("first_stage_model", "space", Opened(tensors.under(SPACE)))
    for name, part in encoders_of(tensors).items():
        yield Network(name, "conditioner", Opened(part))
    yield Network("model.diffusion_model", "backbone", Opened(tensors.under(BACKBONE), averages_of(tensors)))
