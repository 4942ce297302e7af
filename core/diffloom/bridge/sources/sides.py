"""An autoencoder whose two sides lie beside each other: `taesd_encoder.safetensors`, `taesd_decoder.safetensors`."""

from __future__ import annotations

from pathlib import Path

from diffloom.bridge.sources.mapped import MappedTensors, open_mapped

SIDES = ("encoder", "decoder")


def sides_of(path: Path) -> dict[str, Path] | None:
    """Both sides' files, for one of them; None where the file's name says of neither, or the other is not there."""
    for side in SIDES:
        before, found, after = path.name.rpartition(side)
        if found:
            files = {each: path.with_name(f"{before}{each}{after}") for each in SIDES}
            return files if all(file.exists() for file in files.values()) else None
    return None


def open_sides(files: dict[str, Path]) -> MappedTensors:
    """One network's tensors, each with its side in front. Raises CheckpointError."""
    held = {
        f"{side}.{name}": tensor
        for side, file in files.items()
        for name, tensor in open_mapped([file]).held.items()
    }
    return MappedTensors(held, " and ".join(map(str, files.values())))
