"""A diffusers pipeline: a folder with model_index.json and a folder for each part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffloom.bridge.layouts.canvas import canvas_of
from diffloom.bridge.layouts.composition import Conditions, compose
from diffloom.bridge.layouts.prompts import LARGE, prompt_conditions, size_section
from diffloom.bridge.layouts.scheduler import read_scheduler
from diffloom.bridge.model import ForeignModel
from diffloom.bridge.pieces import Known
from diffloom.bridge.reading import Reading
from diffloom.bridge.sources.weight_files import read_json
from diffloom.errors import CheckpointError

INDEX = "model_index.json"
SCHEDULER = "scheduler_config.json"
SPACES = ("vae", "vqvae")
"""What pipelines call their autoencoder."""
TOWERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2", "bert": "tokenizer"}
"""What they call their text encoders, each with its tokenizer."""
GUIDANCE = {
    "StableDiffusionPipeline": 7.5,
    "StableDiffusionXLPipeline": 5.0,
    "StableDiffusionXLImg2ImgPipeline": 5.0,
    "LDMTextToImagePipeline": 5.0,
}
"""The scale that the pipelines with prompts draw with."""
PIPELINES = (*GUIDANCE, "DDPMPipeline", "DDIMPipeline", "LDMPipeline")
"""Those whose parts are all understood."""
VOCABULARIES = ("tokenizer.json", "vocab.txt")
"""The files of BERT's tokenizer, either of which says all of it."""
LEFT_OUT = {
    "safety_checker": "it judges finished pictures",
    "feature_extractor": "it prepares pictures for other parts",
    "image_encoder": "it encodes pictures as prompts",
    "tokenizer": "the text encoder knows its words",
    "tokenizer_2": "the text encoder knows its words",
}
"""Parts that nothing is made from, and why."""


def read_pipeline_folder(folder: Path, reading: Reading) -> ForeignModel:
    """The model of a pipeline's folder. Raises CheckpointError for a pipeline that has no counterpart here."""
    index = read_json(folder / INDEX)
    name = str(index.get("_class_name"))
    if name not in PIPELINES:
        raise CheckpointError(
            f"{folder}: is a {name}, which has no counterpart here; {', '.join(PIPELINES)} have, and "
            "diffloom.load_component loads single parts of any"
        )
    parts = {key for key, value in index.items() if isinstance(value, list) and value != [None, None]}
    used = {"tokenizer"} if "bert" in parts else set()
    strangers = parts - {"unet", "scheduler", *SPACES, *TOWERS, *LEFT_OUT}
    if strangers:
        raise CheckpointError(f"{folder}: no {name} that is known here has {', '.join(sorted(strangers))}")
    spaces = [reading.component(key, "space", part_of(folder, key)) for key in SPACES if key in parts]
    space = spaces[0] if spaces else None
    config = reading.open(part_of(folder, "unet")).config or {}
    canvas = canvas_of(reading, space, place=str(folder), latents=_side(config.get("sample_size")))
    backbone = canvas.inside.component("unet", "backbone", part_of(folder, "unet"))
    scheduler = part_of(folder, "scheduler") / SCHEDULER
    return compose(
        place=str(folder),
        layout=f"diffusers {name}",
        canvas=canvas,
        backbone=backbone,
        space=space,
        conditions=_prompts(folder, index, backbone, reading) if parts & TOWERS.keys() else None,
        mathematics=read_scheduler(read_json(scheduler), place=str(scheduler)),
        told=tuple(f"{key}: left out; {LEFT_OUT[key]}" for key in sorted(parts & LEFT_OUT.keys() - used)),
    )


def part_of(folder: Path, key: str) -> Path:
    """Where a part is: in its own folder, or, as in the oldest pipelines, beside the index."""
    return folder / key if (folder / key).is_dir() else folder


def _side(sample_size: Any) -> int | None:
    """A square's side; a network that says two was trained on no square, and the user must say which to draw."""
    if isinstance(sample_size, list):
        return sample_size[0] if len(set(sample_size)) == 1 else None
    return sample_size if isinstance(sample_size, int) else None


def _prompts(folder: Path, index: Mapping[str, Any], backbone: Known, reading: Reading) -> Conditions:
    name = index["_class_name"]
    keys = [key for key in TOWERS if isinstance(index.get(key), list) and index[key] != [None, None]]
    towers = [reading.component(key, "conditioner", part_of(folder, key)) for key in keys]
    words = [part_of(folder, TOWERS[key]) for key in keys]
    if keys == ["bert"]:
        there = [str(words[0] / file) for file in VOCABULARIES if (words[0] / file).exists()]
        tokenizer = reading.assume.get("tokenizer") or next(iter(there), None)
        return prompt_conditions(towers, scale=GUIDANCE[name], tokenizer=tokenizer)
    towers = [tower.changed(pad=_pad(folder)) for tower, folder in zip(towers, words, strict=True)]
    if "XL" not in name:
        return prompt_conditions(towers, scale=GUIDANCE[name])
    towers = [_read_as_xl(tower, len(towers)) for tower in towers]
    zeros = index.get("force_zeros_for_empty_prompt", True)
    last = "aesthetic_score" if index.get("requires_aesthetics_score") else "target_size"
    return prompt_conditions(
        towers,
        scale=GUIDANCE[name],
        null="zeros" if zeros else "empty",
        sizes=size_section(backbone, towers, last=last),
    )


def _read_as_xl(tower: Known, count: int) -> Known:
    """Layer and pooling as XL reads this encoder; the refiner has the second one alone."""
    fields = LARGE[1] if count == 1 or tower.piece.name == "text_encoder_2" else LARGE[0]
    return tower.changed(**{key: value for key, value in fields.items() if key != "pad"})


def _pad(folder: Path) -> str:
    """What the tokenizer fills up with: its end, or a token of number 0. Raises CheckpointError for any other."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token = read_json(folder / name).get("pad_token") if (folder / name).exists() else None
        word = token.get("content") if isinstance(token, dict) else token
        if word is not None:
            break
    if word in ("!", "<|endoftext|>"):
        return "zero" if word == "!" else "end"
    raise CheckpointError(
        f"{folder}: fills up with {word!r}, and CLIP's tokenizers do with ! or <|endoftext|>"
    )
