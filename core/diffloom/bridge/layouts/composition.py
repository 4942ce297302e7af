"""Networks and mathematics → one configuration, as somebody would have written it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diffloom.bridge.contract import AmbiguousError
from diffloom.bridge.layouts.canvas import Canvas
from diffloom.bridge.layouts.scheduler import Mathematics
from diffloom.bridge.model import ForeignModel, Seat
from diffloom.bridge.pieces import Known
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError

DROPOUT = 0.1
"""How often the published models' training left the condition out; what guidance rests on."""


@dataclass(frozen=True)
class Conditions:
    """The conditioners of a model: their sections by name, and the networks in them."""

    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    networks: Mapping[Seat, Known] = field(default_factory=dict)
    scale: float = 1.0
    """The guidance that the model is usually drawn from with."""
    told: tuple[str, ...] = ()


def compose(
    *,
    place: str,
    layout: str,
    canvas: Canvas,
    backbone: Known,
    space: Known | None,
    conditions: Conditions | None,
    mathematics: Mathematics,
    told: tuple[str, ...] = (),
) -> ForeignModel:
    """The model as a configuration; without `conditions`, the backbone's classes are the only ones.

    Raises CheckpointError for a model that needs conditions which are not there, and AmbiguousError.
    """
    conditions = conditions or class_conditions(canvas.inside.assume, backbone, place=place)
    image = backbone.inferred.shapes["space"] if space is None else space.inferred.shapes["image"]
    guidance = {"type": "classifier_free", "scale": conditions.scale} if conditions.sections else None
    config = {
        "image": {"size": canvas.pixels, "channels": image.channels},
        "space": "pixel" if space is None else plain(space.inferred.part),
        "conditioners": dict(conditions.sections),
        "backbone": plain(backbone.inferred.part),
        **mathematics.sections,
        "sampling": {**mathematics.sections["sampling"], "guidance": guidance},
    }
    networks = {Seat("backbone"): backbone, **conditions.networks}
    if space is not None:
        networks[Seat("space")] = space
    pictures = f"pictures: {canvas.pixels} × {canvas.pixels} × {image.channels}"
    return ForeignModel(
        place, layout, config, networks, (pictures, *mathematics.told, *conditions.told, *told)
    )


def class_conditions(assume: Mapping[str, str], backbone: Known, *, place: str) -> Conditions:
    """Class labels where the network embeds them itself; no condition where it reads none."""
    needed = backbone.inferred.shapes["condition"]
    if needed.tokens or needed.vector or needed.concat:
        raise CheckpointError(
            f"{place}: {backbone.piece.name} reads conditions that nothing here encodes ({needed}); "
            "diffloom.load_component loads the bare network"
        )
    if not needed.classes:
        return Conditions()
    if assume.get("null_class") != "last":
        raise AmbiguousError(
            place,
            f"{backbone.piece.name} embeds {needed.classes} classes, of which a model here has one for no class at all",
            {
                "null_class=last": "it is the last (a model without any is loaded by diffloom.load_component only)"
            },
        )
    label = {"type": "class_label", "classes": needed.classes - 1, "dropout": DROPOUT}
    return Conditions({"label": label}, told=(f"label: {needed.classes - 1} classes and the null class",))
