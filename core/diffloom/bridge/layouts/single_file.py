"""A whole model in one file, as latent-diffusion and its descendants write it: Stable Diffusion 1.x, 2.x, XL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch

from diffloom.bridge.layouts.canvas import canvas_of
from diffloom.bridge.layouts.composition import Conditions, compose
from diffloom.bridge.layouts.families import (
    LDM_CLASS,
    LDM_TEXT,
    REFINER,
    XL,
    Family,
    family_of,
    read_mathematics,
)
from diffloom.bridge.layouts.prompts import prompt_conditions, size_section
from diffloom.bridge.layouts.tables import TABLES, schedule_of
from diffloom.bridge.model import ForeignModel, Seat
from diffloom.bridge.pieces import Known
from diffloom.bridge.reading import Reading
from diffloom.bridge.renamed import RenamedTensors
from diffloom.bridge.sources.opened import Opened
from diffloom.bridge.tensors import Tensors
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError
from diffloom.process.schedules import BetaSchedule

BACKBONE, SPACE = "model.diffusion_model.", "first_stage_model."
CONDITION, EMBEDDER = "cond_stage_model.", "conditioner.embedders."
ENCODER = re.compile(
    r"(conditioner\.embedders\.\d+)\.(?:transformer|model)\."
    r"|(cond_stage_model)\.(?:transformer\.(?=text_model\.)|model\.|)"
)
"""A text encoder's part, and what stands before the names it has by itself."""
AVERAGES = "model_ema."
COUNTS = ("model_ema.decay", "model_ema.num_updates")
"""How the averages were taken."""
SCALE, SIGMAS = "scale_factor", "denoiser.sigmas"
SINGLE = (*TABLES, *COUNTS, SCALE, SIGMAS)
"""Tensors beside those of the networks."""


def is_single_file(names: Iterable[str]) -> bool:
    """Whether these are the names of a whole model."""
    return any(name.startswith(BACKBONE) for name in names)


def read_single_file(opened: Opened, reading: Reading) -> ForeignModel:
    """The model of a single file. Raises CheckpointError for one that has more in it than such files have."""
    tensors = opened.tensors
    place = tensors.place
    _require_known(tensors)
    family = family_of(tensors)
    told = [f"family: {family.name}, by the names of its parts", *opened.told]
    mathematics = read_mathematics(family, _schedule(tensors), reading.assume, place=place)
    scale, whence = _scale(tensors, family, reading.assume)
    told.append(f"first_stage_model: latents are multiplied by {scale}, {whence}")
    space = reading.answered(scale=scale).known("first_stage_model", "space", tensors.under(SPACE))
    pixels = 768 if family.v_too and mathematics.sections["prediction"] == "v" else family.image_size
    canvas = canvas_of(reading, space, place=place, pixels=pixels)
    backbone = canvas.inside.known(
        "model.diffusion_model", "backbone", tensors.under(BACKBONE), averages=averages_of(tensors)
    )
    if backbone.piece.averages is None and COUNTS[0] in tensors:
        told.append("model_ema: left out; it only counts averages that are not there")
    return compose(
        place=place,
        layout="single file of latent-diffusion",
        canvas=canvas,
        backbone=backbone,
        space=space,
        conditions=_conditions(tensors, family, backbone, reading),
        mathematics=mathematics,
        told=tuple(told),
    )


def averages_of(tensors: Tensors) -> RenamedTensors | None:
    """The backbone's averaged weights under its own names; None where there are none.

    latent-diffusion keeps them as `model_ema.` and the name of the weight without its dots.
    """
    flat = {
        name.removeprefix(BACKBONE): AVERAGES + name.removeprefix("model.").replace(".", "")
        for name in tensors
        if name.startswith(BACKBONE)
    }
    return RenamedTensors(tensors, flat) if any(name in tensors for name in flat.values()) else None


def encoders_of(tensors: Tensors) -> Mapping[str, Tensors]:
    """The text encoders by the name of their part, each with the names that its own program gives it."""
    found: dict[str, Tensors] = {}
    for name in tensors:
        if (match := ENCODER.match(name)) is not None:
            found.setdefault(match[1] or match[2], tensors.under(match[0]))
    return found


def _conditions(tensors: Tensors, family: Family, backbone: Known, reading: Reading) -> Conditions | None:
    encoders = [reading.known(name, "conditioner", part) for name, part in encoders_of(tensors).items()]
    if not encoders:
        return None
    if len(encoders) != len(family.towers):
        raise CheckpointError(
            f"{tensors.place}: {len(encoders)} text encoders, and {family.name} has {len(family.towers)}"
        )
    if family is LDM_CLASS:
        (label,) = encoders
        return Conditions(
            {"label": plain(label.inferred.part)}, {Seat("conditioners.label"): label}, scale=family.guidance
        )
    towers = [tower.changed(**reads) for tower, reads in zip(encoders, family.towers, strict=True)]
    last = {XL: "target_size", REFINER: "aesthetic_score"}.get(family)
    return prompt_conditions(
        towers,
        scale=family.guidance,
        null=family.null,
        tokenizer=reading.assume.get("tokenizer") if family is LDM_TEXT else None,
        sizes=None if last is None else size_section(backbone, towers, last=last),
    )


def _schedule(tensors: Tensors) -> BetaSchedule | None:
    """The schedule of the file's own tables; None where it keeps none."""
    tables = {name: tensors.read(name) for name in TABLES if name in tensors}
    if SIGMAS in tensors:  # of sgm: √(1 − ᾱ)/√ᾱ, rising
        tables.setdefault("alphas_cumprod", 1 / (1 + tensors.read(SIGMAS).double().sort().values ** 2))
        tables["alphas_cumprod"] = tables["alphas_cumprod"].to(tensors.dtype(SIGMAS))
    return schedule_of(tables, place=tensors.place) if tables else None


def _scale(tensors: Tensors, family: Family, assume: Mapping[str, str]) -> tuple[str, str]:
    """What latents are multiplied by, as an answer to their autoencoder's question, and how that is known."""
    if "scale" in assume:
        return assume["scale"], "as you say"
    if SCALE in tensors:
        number = tensors.read(SCALE).float()
        shortest = (f"{number.item():.{digits}g}" for digits in range(1, 10))
        return next(x for x in shortest if torch.tensor(float(x)) == number), "the file says"
    if family.scale is not None:
        return str(family.scale), f"as in every {family.name}"
    return "1.0", f"as the file has no {SCALE}"


def _require_known(tensors: Tensors) -> None:
    """Raises CheckpointError for tensors that no part of such a file has."""
    averages = averages_of(tensors)
    known = {*SINGLE, *(averages.names.values() if averages else ())}
    parts = (BACKBONE, SPACE, CONDITION, EMBEDDER)
    strangers = [name for name in tensors if name not in known and not name.startswith(parts)]
    if strangers:
        more = f", and {len(strangers) - 8} more" if len(strangers) > 8 else ""
        raise CheckpointError(
            f"{tensors.place}: {len(strangers)} tensors left over that belong to no part of such a model: "
            f"{', '.join(strangers[:8])}{more}; nothing was loaded"
        )
