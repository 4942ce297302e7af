"""A model of ours as a folder that diffusers' `DiffusionPipeline.from_pretrained` loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from diffloom.bridge.empty import empty_weights
from diffloom.bridge.export.clip_words import clip_words
from diffloom.bridge.export.model import OwnModel, OwnNetwork
from diffloom.bridge.export.whole_folder import json_text, require_free, write_whole
from diffloom.bridge.layouts.prompts import LARGE
from diffloom.bridge.layouts.scheduler import write_scheduler
from diffloom.errors import CheckpointError

WRITTEN_FOR = "0.35.0"
"""The oldest diffusers that the files are tested with."""
PROMPT, SIZES, UNET = "conditioners.prompt", "size_crop", "unet"
WEIGHTS = {"diffusers": "diffusion_pytorch_model.safetensors", "transformers": "model.safetensors"}
"""The file that each library looks for."""


@dataclass(frozen=True)
class Piece:
    """One part of a pipeline's folder."""

    library: str
    kind: str
    """The class that loads it."""
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def file(self) -> str:
        """Its weights' file."""
        return WEIGHTS[self.library]


def export_diffusers(model: OwnModel, dest: Path) -> tuple[str, ...]:
    """Write the pipeline and tell what it leaves unsaid.

    Raises CheckpointError, and writes nothing, where diffusers has no pipeline for such a model.
    """
    require_free(dest)
    name = pipeline_of(model)
    pieces: dict[str, Piece] = {UNET: _network(model, "backbone")}
    texts: dict[str, str] = {}
    index: dict[str, Any] = {"_class_name": name, "_diffusers_version": WRITTEN_FOR}
    if model.at("space"):
        pieces["vqvae" if name == "LDMPipeline" else "vae"] = _network(model, "space")
    for key, tower in _towers(model, name):
        pieces[key] = tower_piece(tower, name)
        words = key.replace("text_encoder", "tokenizer")
        length = tower.part.published.context_length
        for file, text in clip_words(pad=tower.part.pad, length=length).items():
            texts[f"{words}/{file}"] = text
        index[words] = ["transformers", "CLIPTokenizer"]
    if name == "StableDiffusionPipeline":
        index |= {key: [None, None] for key in ("safety_checker", "feature_extractor", "image_encoder")}
        index["requires_safety_checker"] = False
    if name == "StableDiffusionXLPipeline":
        index["force_zeros_for_empty_prompt"] = _conditioner(model, "prompt").null_condition == "zeros"
        # the network sees one vector; how much of it is a size is the conditioner's affair
        sized = {**pieces[UNET].config, "addition_time_embed_dim": _conditioner(model, "size").width}
        pieces[UNET] = replace(pieces[UNET], config=sized)
    scheduler, told = write_scheduler(model.document)
    index["scheduler"] = ["diffusers", scheduler["_class_name"]]
    texts["scheduler/scheduler_config.json"] = json_text(scheduler)
    for key, piece in pieces.items():
        index[key] = [piece.library, piece.kind]
        texts[f"{key}/config.json"] = json_text(piece.config)
    texts["model_index.json"] = json_text(index)
    write_whole(dest, weights={f"{key}/{p.file}": p.tensors for key, p in pieces.items()}, texts=texts)
    return (f"pipeline: {name}", *told)


def pipeline_of(model: OwnModel) -> str:
    """The pipeline that draws as the model does. Raises CheckpointError, saying why, when there is none."""
    document = model.document
    kinds = {key: part.name for key, part in document.conditioners.items()}
    ancestral = document.sampling.sampler.name == "ddpm"
    if document.variance.learned and not ancestral:
        raise _no_pipeline("a learned variance and another sampler than ddpm")
    if not kinds and not model.at("space"):
        return "DDPMPipeline" if ancestral else "DDIMPipeline"
    if not kinds:
        autoencoder = _network(model, "space").kind
        if autoencoder == "VQModel":
            return "LDMPipeline"
        raise _no_pipeline(f"latents of {autoencoder} without a condition (it has one for VQModel)")
    if kinds == {"prompt": "clip_text"} and len(model.at(PROMPT)) == 1:
        if _conditioner(model, "prompt").null_condition != "empty":
            raise _no_pipeline("one text encoder with zeros for no prompt")
        return "StableDiffusionPipeline"
    if kinds == {"prompt": "clip_text", "size": SIZES} and len(model.at(PROMPT)) == 2:
        return "StableDiffusionXLPipeline"
    raise _no_pipeline("conditions by " + ", ".join(f"{key} ({kind})" for key, kind in kinds.items()))


def tower_piece(tower: OwnNetwork, pipeline: str) -> Piece:
    """A text encoder, as the pipeline reads it. Raises CheckpointError where it reads it otherwise."""
    if pipeline == "StableDiffusionPipeline":
        tower = without_last_block(tower)
    elif not any(all(getattr(tower.part, k) == v for k, v in fields.items()) for fields in LARGE):
        raise _no_pipeline("two text encoders that are read otherwise than Stable Diffusion XL's")
    config = tower.config("transformers")
    assert config is not None
    return Piece("transformers", config["architectures"][0], config, tower.tensors("transformers"))


def without_last_block(tower: OwnNetwork) -> OwnNetwork:
    """The same function of the prompt, where the last block only stood behind what is read."""
    part = tower.part
    if part.layer == "last" or not part.final_norm or part.pooled:
        return tower
    depth = (part.depth or part.published.layers) - 1
    part = part.model_copy(update={"depth": depth, "layer": "last"})
    with empty_weights():
        module = part.build()
    state = tower.module.state_dict()
    module.load_state_dict({name: state[name] for name in module.state_dict()}, assign=True)
    return OwnNetwork(tower.seat, tower.component, part, module, tower.shapes)


def component_piece(network: OwnNetwork) -> Piece:
    """A network by itself. Raises CheckpointError where neither library has it."""
    format = "diffusers" if network.seat.path in ("space", "backbone") else "transformers"
    config = network.config(format)
    if config is None:
        raise CheckpointError(
            f"{network.seat.path}: {network.component.canonical} has no configuration there"
        )
    kind = config.get("_class_name") or config["architectures"][0]
    return Piece(format, kind, config, network.tensors(format))


def export_component(network: OwnNetwork, dest: Path) -> tuple[str, ...]:
    """Write one network as a component's folder. Raises CheckpointError."""
    piece = component_piece(network)
    write_whole(dest, weights={piece.file: piece.tensors}, texts={"config.json": json_text(piece.config)})
    return (f"{network.seat.path}: {piece.library}' {piece.kind}",)


def _network(model: OwnModel, path: str) -> Piece:
    (network,) = model.at(path)
    return component_piece(network)


def _towers(model: OwnModel, pipeline: str) -> Iterator[tuple[str, OwnNetwork]]:
    for index, tower in enumerate(model.at(PROMPT)):
        yield ("text_encoder" if index == 0 else f"text_encoder_{index + 1}"), tower


def _conditioner(model: OwnModel, key: str) -> Any:
    return model.document.conditioners[key]


def _no_pipeline(what: str) -> CheckpointError:
    return CheckpointError(
        f"diffusers has no pipeline for {what}; --part backbone, --part space and --part conditioners.prompt write "
        "single networks"
    )
