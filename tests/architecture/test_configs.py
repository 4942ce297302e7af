"""Every shipped configuration is sound. Oracle: it validates, builds and says what it promises."""

import re
from pathlib import Path

import pytest
import torch

from diffloom import config
from diffloom.assembly import assemble

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
PARAMETERS = {"cifar10_ddpm": 35_746_307, "image_folder": 113_673_219}
"""Published networks (Ho et al. 2020, "35.7M" and "114M"), counted in diffusers' UNet2DModel."""


def test_the_promised_configurations_are_there():
    assert {path.stem for path in CONFIGS} >= {"digits", "cifar10_ddpm", "image_folder"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_opens_with_what_a_reader_wants_to_know(path):
    head = path.read_text(encoding="utf-8")
    assert head.startswith("# yaml-language-server: $schema=schema.json\n")
    opening = head[: head.index("\n\n")]
    found = re.findall(r"^# (What|Machine|Time|Result|Command) ", opening, re.MULTILINE)
    assert found == ["What", "Machine", "Time", "Result", "Command"]
    assert f"diffloom train configs/{path.name}" in opening


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_validates_and_builds(path, registry):
    resolved = config.load(str(path), registry=registry)
    text = config.to_yaml(resolved.document, registry)
    again = config.parse(text, name="resolved", registry=registry)
    assert config.to_yaml(again.document, registry) == text
    with torch.device("meta"):  # the largest has half a gigabyte of weights
        pipeline = assemble(resolved.document, registry=registry)
    assert len(pipeline.levels(resolved.document.sampling)) == resolved.document.sampling.steps + 1
    if path.stem in PARAMETERS:
        assert sum(p.numel() for p in pipeline.backbone.parameters()) == PARAMETERS[path.stem]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_is_shipped_under_its_name(path, registry):
    shipped = config.load(f"diffloom:{path.stem}", registry=registry)
    assert shipped.document == config.load(str(path), registry=registry).document
