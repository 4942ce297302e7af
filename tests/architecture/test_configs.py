"""Every shipped configuration is sound. Oracle: it validates, builds and says what it promises."""

import re
from pathlib import Path

import pytest
import torch

from diffloom import config
from diffloom.assembly import assemble
from diffloom.bridge.empty import empty_weights
from diffloom.config import AutoencoderDocument
from diffloom.kinds import Backbone
from diffloom.training.reconstruction import assemble_autoencoder

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
PARAMETERS = {"cifar10_ddpm": 35_746_307, "image_folder": 113_673_219}
"""Published networks (Ho et al. 2020, "35.7M" and "114M"), counted in diffusers' UNet2DModel."""


class NoWeights(Backbone):
    """Stands for the network where only the other parts are looked at."""

    name = "no_weights"

    def build(self, *, space, condition):
        return torch.nn.Identity()


def test_the_promised_configurations_are_there():
    assert {path.stem for path in CONFIGS} >= {
        "digits",
        "digits_latent",
        "emoji_text",
        "emoji_latent",
        "sd15",
        "sdxl",
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_opens_with_what_a_reader_wants_to_know(path):
    head = path.read_text(encoding="utf-8")
    assert head.startswith("# yaml-language-server: $schema=schema.json\n")
    opening = head[: head.index("\n\n")]
    found = re.findall(r"^# (What|Machine|Time|Result|Command) ", opening, re.MULTILINE)
    assert found == ["What", "Machine", "Time", "Result", "Command"]
    assert f"diffloom train configs/{path.name}" in opening


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_validates_and_its_resolved_text_says_the_same(path, registry):
    text = config.to_yaml(config.load(str(path), registry=registry).document, registry)
    again = config.parse(text, name="resolved", registry=registry)
    assert config.to_yaml(again.document, registry) == text


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_part_builds(path, registry):
    document = config.load(str(path), registry=registry).document
    if isinstance(document, AutoencoderDocument):
        assert set(assemble_autoencoder(document, seed=0)) == {"space", "criteria"}
        return
    with torch.device("meta"):  # the largest has half a gigabyte of weights
        backbone = document.backbone.build(space=document.space_info, condition=document.condition_info)
    if path.stem in PARAMETERS:
        assert sum(p.numel() for p in backbone.parameters()) == PARAMETERS[path.stem]
    small = document.model_copy(update={"backbone": NoWeights()})
    with empty_weights():  # and the largest text encoders three
        pipeline = assemble(small, registry=registry)
    assert len(pipeline.levels(document.sampling)) == document.sampling.steps + 1
    assert callable(pipeline.sampler)
    assert callable(document.objective.build())
    assert document.sampling.guidance is None or callable(document.sampling.guidance.build())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_is_shipped_under_its_name(path, registry):
    shipped = config.load(f"diffloom:{path.stem}", registry=registry)
    assert shipped.document == config.load(str(path), registry=registry).document
