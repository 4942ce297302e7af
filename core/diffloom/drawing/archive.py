"""An .npz file of all images, as the evaluators of guided-diffusion (and most programs for FID) read it.

`arr_0` is (N, H, W, C) uint8; `arr_1`, where each image has a class, is (N,) int64. Until all are there, each unit of
images is a file of its own in a hidden folder beside the archive's place, so that drawing can stop at any moment.
Legend: B images, H height, W width, C channels.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from diffloom.checkpoint.whole_file import synced
from diffloom.drawing import manifest as manifests
from diffloom.drawing.manifest import NAME, Manifest
from diffloom.errors import RunError


class Archive:
    """One file for all images; `workplace` holds them until then, and takes as much disk once more at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.workplace = path.with_name(f".{path.name}.parts")
        """The folder that is worked in."""

    def begin(self, manifest: Manifest) -> Manifest:
        """Begin the collection, or go on with it. Raises RunError where the archive holds other images."""
        if self.path.exists():
            there = self._told()
            manifests.require_same(there, manifest, place=self.path)
            return there
        return manifests.begun(self.workplace / NAME, manifest)

    def has(self, rows: range) -> bool:
        """Whether these images are there: a file has its name once it is whole."""
        return self.path.exists() or self._part(rows.start).exists()

    @property
    def is_finished(self) -> bool:
        """Whether the archive is there."""
        return self.path.exists()

    def write(
        self, rows: range, bytes_BHWC: NDArray[np.uint8], recipe_of: Callable[[int], Mapping[str, Any]]
    ) -> None:
        """Write the images of a unit. Raises RunError where that fails."""
        part = self._part(rows.start)
        hidden = part.with_name(f".{part.name}.{os.getpid()}.tmp")
        try:
            with hidden.open("wb") as file:
                np.save(file, bytes_BHWC, allow_pickle=False)
            synced(hidden)
            hidden.replace(part)
        except OSError as error:
            hidden.unlink(missing_ok=True)
            raise RunError(_unwritable(part, error)) from error

    def finish(self, manifest: Manifest, labels: NDArray[np.int64] | None) -> None:
        """Join the parts, never more than one of them in memory, and remove them and what killed processes left."""
        hidden = self.workplace / f".{self.path.name}.{os.getpid()}.tmp"
        try:
            with zipfile.ZipFile(hidden, "w", zipfile.ZIP_STORED) as archive:
                with archive.open("arr_0.npy", "w", force_zip64=True) as file:
                    self._join(file, manifest)
                if labels is not None:
                    with archive.open("arr_1.npy", "w") as file:
                        np.lib.format.write_array(file, labels, allow_pickle=False)
                with archive.open(NAME, "w") as file:  # no date: the same images are the same archive
                    file.write(manifest.done.to_json().encode())
            synced(hidden)
            hidden.replace(self.path)
        except OSError as error:
            hidden.unlink(missing_ok=True)
            raise RunError(_unwritable(self.path, error)) from error
        for part in (*self.workplace.glob("*.npy"), *self.workplace.glob(".*.tmp"), self.workplace / NAME):
            part.unlink(missing_ok=True)

    def _join(self, file: IO[bytes], manifest: Manifest) -> None:
        count, unit = manifest.settings["images"], manifest.unit
        for start in range(0, count, unit):
            part_BHWC = np.load(self._part(start), allow_pickle=False)
            if start == 0:
                shape = (count, *part_BHWC.shape[1:])
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(part_BHWC.data)

    def _part(self, start: int) -> Path:
        return self.workplace / f"{start:08d}.npy"

    def _told(self) -> Manifest:
        """What a finished archive says of itself. Raises RunError where that is nothing."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                text = archive.read(NAME).decode()
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise RunError(
                f"{self.path}: is there already, and does not say how it was drawn ({error}); choose another -o"
            ) from error
        return manifests.parsed(text, place=self.path)


def _unwritable(path: Path, error: OSError) -> str:
    """What is wrong, and what to do. numpy's own error for a disk that is full has a text, and no number."""
    return f"{path}: cannot be written: {error.strerror or error}; free some space, and repeat the command"
