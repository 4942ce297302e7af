"""Text encoders of a source → the conditioner `prompt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from diffloom.bridge.layouts.composition import DROPOUT, Conditions
from diffloom.bridge.model import Seat
from diffloom.bridge.pieces import Known
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError
from diffloom.kinds import Component

LARGE: tuple[Mapping[str, Any], ...] = (
    {"layer": "penultimate", "final_norm": False, "pooled": False, "pad": "end"},
    {"layer": "penultimate", "final_norm": False, "pooled": True, "pad": "zero"},
)
"""How Stable Diffusion XL reads its two encoders (Podell et al. 2023, section 2.1); its refiner reads the second."""
NUMBERS = {"target_size": 6, "aesthetic_score": 5}
"""How many numbers XL is told beside the prompt, and its refiner, by the last of them."""


def prompt_conditions(
    towers: Sequence[Known],
    *,
    scale: float,
    null: Literal["empty", "zeros"] = "empty",
    tokenizer: str | None = None,
    sizes: Mapping[str, Any] | None = None,
) -> Conditions:
    """The conditioner of these encoders, and behind it the one of `sizes`, where the model is told any.

    `tokenizer` is the file of an encoder's that does not know its own. Raises CheckpointError where that is missing.
    """
    first = towers[0]
    section: dict[str, Any]
    if isinstance(first.inferred.part, Component):
        section = {**plain(first.inferred.part), "dropout": DROPOUT}
        section["tokenizer"] = section.get("tokenizer") or tokenizer
        if section["tokenizer"] is None:
            raise CheckpointError(
                f"{first.piece.foreign.tensors.place}: has no vocabulary for {first.piece.name}; name its file with "
                "--assume tokenizer=vocab.txt (latent-diffusion's is that of bert-base-uncased)"
            )
        networks = {Seat("conditioners.prompt"): first}
    else:
        section = {
            "type": first.component.canonical,
            "encoders": [plain(tower.inferred.part) for tower in towers],
            "null_condition": null,
            "dropout": DROPOUT,
        }
        networks = {Seat("conditioners.prompt", index): tower for index, tower in enumerate(towers)}
    told = f"prompt: it was left out in {DROPOUT:.0%} of the training, as is usual; guidance rests on that"
    sections = {"prompt": section} if sizes is None else {"prompt": section, "size": sizes}
    return Conditions(sections, networks, scale=scale, told=(told,))


def size_section(backbone: Known, towers: Sequence[Known], *, last: str) -> dict[str, Any]:
    """The conditioner of the numbers that make up what the backbone's vector has beside pooled prompts."""
    vector = backbone.inferred.shapes["condition"].vector - sum(t.inferred.part.pooled_width for t in towers)
    width, rest = divmod(vector, NUMBERS[last])
    if vector <= 0 or rest:
        raise CheckpointError(
            f"{backbone.piece.foreign.tensors.place}: {backbone.piece.name} reads {vector} numbers beside the pooled "
            f"prompt, which are no embeddings of {NUMBERS[last]} numbers; nothing was loaded"
        )
    return {"type": "size_crop", "last": last, "width": width}
