"""A run or a checkpoint of ours → another program's folder or file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from diffloom.bridge.export.diffusers_folder import export_component, export_diffusers
from diffloom.bridge.export.ldm_file import SPARE, export_ldm, export_ldm_network
from diffloom.bridge.export.model import open_model
from diffloom.checkpoint import open_checkpoint
from diffloom.checkpoint.weights import weights_group
from diffloom.errors import CheckpointError
from diffloom.registry import Registry
from diffloom.training.run_folder import checkpoint_of

Program = Literal["diffusers", "ldm"]
PROGRAMS = ("diffusers", "ldm")


def export(
    source: Path,
    dest: Path,
    *,
    to: Program,
    registry: Registry,
    weights: str = "ema",
    part: str | None = None,
) -> tuple[str, ...]:
    """Write the model of `source` to the new place `dest`, or one `part` of it, and tell what it became.

    A single file holds averaged weights beside the last ones where they differ, and whatever `convert` kept of the
    single file that the model came from. Raises CheckpointError, and writes
    nothing, where the program has no form for it.
    """
    checkpoint = open_checkpoint(checkpoint_of(source))
    group = weights_group(weights, checkpoint)
    if part is not None:
        model = open_model(source, registry=registry, weights=group)
        name, _, index = part.partition("[")
        found = [n for n in model.at(name) if not index or str(n.seat.index) == index.rstrip("]")]
        if len(found) != 1:
            there = ", ".join(f"{seat.path}[{seat.index}]" for seat in model.networks)
            raise CheckpointError(f"{source}: {part} is no single network of it; it has {there}")
        return export_component(found[0], dest) if to == "diffusers" else export_ldm_network(found[0], dest)
    if to == "diffusers":
        return export_diffusers(open_model(source, registry=registry, weights=group), dest)
    digests = checkpoint.header.digests
    last = "weights" if "weights" in digests else group
    model = open_model(source, registry=registry, weights=last)
    averages = None
    if digests[group] != digests[last]:
        averages = open_model(source, registry=registry, weights=group)
    spare = checkpoint.group(SPARE) if SPARE in digests else None
    return export_ldm(model, averages, dest, spare=spare)
