"""A model of ours as one file of latent-diffusion's, or of its descendants'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffloom.bridge.export.model import OwnModel, OwnNetwork
from diffloom.bridge.export.whole_folder import METADATA, require_free
from diffloom.bridge.layouts.families import (
    LDM,
    LDM_CLASS,
    LDM_TEXT,
    REFINER,
    SD1,
    SD2,
    SD_SCHEDULE,
    XL,
    Family,
)
from diffloom.bridge.layouts.prompts import LARGE
from diffloom.bridge.layouts.single_file import AVERAGES, BACKBONE, CONDITION, EMBEDDER, SCALE, SPACE
from diffloom.bridge.layouts.tables import ldm_tables
from diffloom.checkpoint.whole_file import save_whole
from diffloom.errors import CheckpointError
from diffloom.kinds import LatentSpace

PREFIXES: Mapping[Family, tuple[tuple[str, str], ...]] = {
    SD1: ((f"{CONDITION}transformer.", "transformers"),),
    SD2: ((f"{CONDITION}model.", "open_clip"),),
    XL: ((f"{EMBEDDER}0.transformer.", "transformers"), (f"{EMBEDDER}1.model.", "open_clip")),
    REFINER: ((f"{EMBEDDER}0.model.", "open_clip"),),
    LDM_TEXT: ((CONDITION, "ldm"),),
    LDM_CLASS: ((CONDITION, "ldm"),),
    LDM: (),
}
"""Where each family keeps its text encoders, and under whose names."""


SPARE = "spare.ldm"
"""The group of a checkpoint with what the single file it came from has beside the networks' weights, by its names
there; an empty one says that there was nothing."""


def export_ldm(
    model: OwnModel, averages: OwnModel | None, dest: Path, *, spare: Mapping[str, Tensor] | None = None
) -> tuple[str, ...]:
    """Write the file and tell what it is. `averages` is the same model with its averaged weights, kept beside.

    `spare` stands in the place of the tables that are written else. Raises CheckpointError, and writes nothing, for a
    model that no such file can say.
    """
    require_free(dest)
    family = family_of(model)
    tensors = ldm_networks(model, family)
    if averages is not None:
        tensors |= ldm_averages(averages)
    tensors |= dict(_numbers(model, family)) if spare is None else spare
    _write(dest, tensors)
    kept = () if not spare else (f"spare: {len(spare)} tensors of the single file that it came from",)
    return (f"family: {family.name}", *kept)


def ldm_networks(model: OwnModel, family: Family) -> dict[str, Tensor]:
    """The networks' weights by their names in the file. Raises CheckpointError for one that is no such network."""
    (backbone,), (space,) = model.at("backbone"), model.at("space")
    tensors = _under(BACKBONE, backbone, _format(backbone)) | _under(SPACE, space, "ldm")
    for tower, (prefix, format) in zip(_encoders(model), PREFIXES[family], strict=True):
        tensors |= _under(prefix, tower, format)
    return tensors


def ldm_averages(model: OwnModel) -> dict[str, Tensor]:
    """The backbone's weights by the names that the file has for averages: without dots."""
    (backbone,) = model.at("backbone")
    start = BACKBONE.removeprefix("model.")
    return {
        AVERAGES + (start + name).replace(".", ""): tensor
        for name, tensor in backbone.tensors(_format(backbone)).items()
    }


def export_ldm_network(network: OwnNetwork, dest: Path) -> tuple[str, ...]:
    """Write one network's weights under its own program's names. Raises CheckpointError."""
    require_free(dest)
    format = _format(network)
    _write(dest, _under("", network, format))
    return (f"{network.seat.path}: as {format} weights",)


def _under(prefix: str, network: OwnNetwork, format: str) -> dict[str, Tensor]:
    """A network's weights. Raises CheckpointError where the form's readers would take them for another network's."""
    network.config(format)  # for its refusal: these files have no place for what it says
    return {f"{prefix}{name}": tensor for name, tensor in network.tensors(format).items()}


def _format(network: OwnNetwork) -> str:
    """Under whose names such a file keeps a network: its unconditional U-Nets are OpenAI's, its CLIP open_clip's."""
    formats = [bridge.format for bridge in network.component.bridges()]
    return next((format for format in ("ldm", "openai", "open_clip") if format in formats), "ldm")


def family_of(model: OwnModel) -> Family:
    """Whose file it would be. Raises CheckpointError, saying why, for a model that none of them can say."""
    document = model.document
    if not isinstance(document.space, LatentSpace):
        raise CheckpointError("these files hold models of latents; this one is of pixels")
    if document.space.statistics is not None or document.space.shift != 0:
        raise CheckpointError(
            "space: these files know one factor for all latents, and this model has more than that"
        )
    kinds = [part.name for part in document.conditioners.values()]
    family = _by_conditioners(model, kinds)
    predictions = ("epsilon", "v") if family.v_too else ("epsilon",)
    if document.prediction.name not in predictions:
        raise CheckpointError(
            f"prediction: every {family.name} file is read as {' or '.join(predictions)}, and this is "
            f"{document.prediction.name}"
        )
    return family


def _by_conditioners(model: OwnModel, kinds: list[str]) -> Family:
    if not kinds:
        return LDM
    if kinds in (["class_token"], ["transformer_text"]):
        return LDM_CLASS if kinds == ["class_token"] else LDM_TEXT
    last = {"target_size": XL, "aesthetic_score": REFINER}
    sizes = [part for part in model.document.conditioners.values() if part.name == "size_crop"]
    if kinds == ["clip_text", "size_crop"]:
        candidates = [last[part.last] for part in sizes]  # type: ignore[attr-defined]  # size_crop has it
    elif kinds == ["clip_text"]:
        candidates = [SD1, SD2]
    else:
        raise CheckpointError(f"conditioners: no such file has {', '.join(kinds)} together")
    towers = [network.part for network in _encoders(model)]
    for family in candidates:
        if len(towers) == len(family.towers) and all(map(_reads, towers, family.towers)):
            return family
    names = " or ".join(family.name for family in candidates)
    raise CheckpointError(f"conditioners: its text encoders are read otherwise than those of {names}")


def _reads(section: Any, fields: Mapping[str, Any]) -> bool:
    """Whether a text encoder's section reads it as a family does: as the fields say, and else by their defaults."""
    wanted = {name: type(section).model_fields[name].default for name in LARGE[0]} | dict(fields)
    return all(getattr(section, name) == value for name, value in wanted.items())


def _encoders(model: OwnModel) -> list[OwnNetwork]:
    return [network for seat, network in model.networks.items() if seat.path.startswith("conditioners.")]


def _numbers(model: OwnModel, family: Family) -> Iterator[tuple[str, Tensor]]:
    """The tables of the schedule and the factor of the latents, where the family does not say them."""
    schedule, scale = model.document.schedule, model.document.space.scale  # type: ignore[attr-defined]  # a LatentSpace
    if family not in (XL, REFINER):
        yield from ldm_tables(schedule.build()).items()
    elif schedule != SD_SCHEDULE:
        raise CheckpointError(f"schedule: every {family.name} file is read with {SD_SCHEDULE}")
    if scale != (family.scale or 1.0):
        yield SCALE, torch.tensor(scale, dtype=torch.float32)


def _write(dest: Path, tensors: Mapping[str, Tensor]) -> None:
    if dest.suffix != ".safetensors":
        raise CheckpointError(f"{dest}: a single file's name ends in .safetensors; choose such a name")
    try:
        save_whole(dest, {n: t.detach().cpu().contiguous() for n, t in tensors.items()}, metadata=METADATA)
    except OSError as error:
        raise CheckpointError(f"{dest}: cannot be written: {error.strerror}; choose another place") from error
