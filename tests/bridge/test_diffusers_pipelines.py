"""Whole models from diffusers and back. Oracle: diffusers' own pipelines, from the same weights and the same noise."""

from __future__ import annotations

import filecmp
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import diffloom
from diffloom.bridge.conversion import convert
from diffloom.bridge.export.exporting import export
from diffloom.process import Draws
from diffloom.registry import Registry

SEED, STEPS, SCALE = 5, 4, 7.5
PROMPTS = ["a red heart", "two cats & a dog, a red heart"]
TOLERANCE = 1e-4
"""Of values in [0, 1]. Guidance takes 7.5 times the difference of two float32 outputs at each step, which are each off
by about 1e-6; a codebook's nearest entry may not flip in between, or this would not hold at all."""


def noise(pipe: diffloom.Pipeline) -> Tensor:
    """What `sample(seed=SEED)` begins with."""
    keys = [(SEED, index) for index in range(len(PROMPTS))]
    return Draws(keys).normal("prior", pipe.document.space_info.shape)


def opened(folder: Path) -> Any:
    """Their pipeline."""
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def of_prompts(folder: Path, latents: Tensor, **options: Any) -> Tensor:
    """What diffusers draws, in [0, 1]."""
    pictures: Tensor = opened(folder)(
        PROMPTS,
        latents=latents.clone(),
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        output_type="np",
        **options,
    ).images
    return torch.as_tensor(pictures).permute(0, 3, 1, 2)


def of_nothing(folder: Path, start: Tensor, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Tensor:
    """The same of pipelines without a prompt, which take no noise but draw their own."""
    pipeline = opened(folder)
    monkeypatch.setattr(
        sys.modules[type(pipeline).__module__], "randn_tensor", lambda *_, **__: start.clone()
    )
    pictures = pipeline(batch_size=len(start), num_inference_steps=STEPS, output_type="np", **options).images
    return torch.as_tensor(pictures).permute(0, 3, 1, 2)


def ours(pipe: diffloom.Pipeline, **options: Any) -> Tensor:
    """What we draw, in [0, 1]."""
    conditions = {"prompt": PROMPTS, "guidance": SCALE} if pipe.document.conditioners else {"n": len(PROMPTS)}
    return pipe.sample(seed=SEED, steps=STEPS, **conditions, **options).tensor / 2 + 0.5


def require_same(mine: Tensor, their: Tensor) -> None:
    torch.testing.assert_close(mine, their, rtol=0, atol=TOLERANCE)
    assert mine.std() > 0.02, "pictures of nothing would agree too"
    assert (mine[0] - mine[1]).abs().max() > 0.02, "and so would pictures of the same"


@pytest.mark.parametrize(
    ("fixture", "size"),
    [("sd_folder", {}), ("xl_folder", {"height": 16, "width": 16}), ("bert_folder", {})],
)
def test_the_same_pictures_of_prompts(
    fixture: str, size: dict[str, int], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(fixture)
    pipe = diffloom.load(folder, device="cpu")
    require_same(ours(pipe), of_prompts(folder, noise(pipe), **size))


@pytest.mark.parametrize("end", ["clean", "first"])
@pytest.mark.parametrize(("fixture", "offset"), [("sd_folder", 1), ("ddpm_folder", 0)])
def test_the_same_pictures_wherever_the_walk_ends(
    *,
    fixture: str,
    offset: int,
    end: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With offset 0 diffusers asks the network once more at time 0, which changes nothing where the walk ends there.

    Its StableDiffusionPipeline turns offset 0 into 1, so that the other pipeline shows this.
    """
    folder = tmp_path / "theirs"
    shutil.copytree(request.getfixturevalue(fixture), folder)
    file = folder / "scheduler" / "scheduler_config.json"
    said = {"set_alpha_to_one": end == "clean", "steps_offset": offset}
    file.write_text(json.dumps(json.loads(file.read_text()) | said))
    pipe = diffloom.load(folder, device="cpu")
    assert pipe.document.sampling.end == end
    calls: list[float] = []
    mine = ours(pipe, on_step=lambda step: calls.append(step.t))
    start = noise(pipe)
    if pipe.document.conditioners:
        require_same(mine, of_prompts(folder, start))
    else:
        require_same(mine, of_nothing(folder, start, monkeypatch, use_clipped_model_output=True))
    assert len(calls) == (STEPS - 1 if (offset, end) == (0, "first") else STEPS)
    other = "first" if end == "clean" else "clean"
    assert (mine - ours(pipe, end=other)).abs().max() > 10 * TOLERANCE, "the end must be seen"


def test_the_same_pictures_with_a_negative_prompt(sd_folder: Path) -> None:
    pipe = diffloom.load(sd_folder, device="cpu")
    away = ["a blue circle"] * len(PROMPTS)
    mine = ours(pipe, negative={"prompt": away})
    require_same(mine, of_prompts(sd_folder, noise(pipe), negative_prompt=away))
    assert (mine - ours(pipe)).abs().max() > 0.01


@pytest.mark.parametrize(
    ("fixture", "options"), [("ddpm_folder", {"use_clipped_model_output": True}), ("ldm_folder", {})]
)
def test_the_same_pictures_of_nothing(
    fixture: str,
    options: dict[str, bool],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = request.getfixturevalue(fixture)
    pipe = diffloom.load(folder, device="cpu")
    require_same(ours(pipe), of_nothing(folder, noise(pipe), monkeypatch, **options))


@pytest.mark.parametrize("fixture", ["sd_folder", "xl_folder", "ldm_folder", "ddpm_folder"])
def test_there_and_back_is_the_same_bits(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path, registry: Registry
) -> None:
    folder = request.getfixturevalue(fixture)
    convert(folder, tmp_path / "a.safetensors", registry=registry)
    export(tmp_path / "a.safetensors", tmp_path / "theirs", to="diffusers", registry=registry)
    convert(tmp_path / "theirs", tmp_path / "b.safetensors", registry=registry)
    assert filecmp.cmp(tmp_path / "a.safetensors", tmp_path / "b.safetensors", shallow=False)
    for file in folder.rglob("*.safetensors"):
        mine, their = load_file(tmp_path / "theirs" / file.relative_to(folder)), load_file(file)
        mine = {name.removeprefix("text_model."): tensor for name, tensor in mine.items()}
        their = {name.removeprefix("text_model."): tensor for name, tensor in their.items()}
        assert mine.keys() == their.keys()
        assert all(torch.equal(mine[name], their[name]) for name in their)


@pytest.mark.parametrize("fixture", ["sd_folder", "xl_folder"])
def test_what_is_exported_draws_the_same_pictures(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path, registry: Registry
) -> None:
    folder = request.getfixturevalue(fixture)
    convert(folder, tmp_path / "a.safetensors", registry=registry)
    export(tmp_path / "a.safetensors", tmp_path / "theirs", to="diffusers", registry=registry)
    pipe = diffloom.load(tmp_path / "a.safetensors", device="cpu")
    size = {"height": 16, "width": 16}
    require_same(ours(pipe), of_prompts(tmp_path / "theirs", noise(pipe), **size))
    names = {part.name for part in (tmp_path / "theirs").iterdir()}
    assert names == {part.name for part in folder.iterdir()}
