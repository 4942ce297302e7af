"""Whole models in one file, and back. Oracles: diffusers' own converter from such files, the pictures of the folder
that holds the same weights, latent-diffusion's tables written out in numpy, and the bits that went in."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import diffloom
from diffloom.bridge import AmbiguousError
from diffloom.bridge.conversion import convert
from diffloom.bridge.export.exporting import export
from diffloom.bridge.export.ldm_file import SPARE
from diffloom.bridge.layouts.tables import TABLES, ldm_tables, schedule_of
from diffloom.checkpoint import open_checkpoint, save_checkpoint
from diffloom.errors import CheckpointError
from diffloom.process import CosineSchedule, LinearSchedule, ScaledLinearSchedule
from diffloom.registry import Registry

HEADS = {"model.diffusion_model.heads": "2", "first_stage_model.norm_groups": "4", "image_size": "16"}
SD1 = {**HEADS, "cond_stage_model.heads": "4", "cond_stage_model.activation": "quick_gelu"}
"""What the names and shapes of the small models do not say, as those of the published ones do."""


@pytest.fixture(scope="module")
def native(sd_folder: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small Stable Diffusion as a checkpoint of ours."""
    path = tmp_path_factory.mktemp("native") / "sd.safetensors"
    convert(sd_folder, path, registry=registry)
    return path


@pytest.fixture(scope="module")
def single(native: Path, registry: Registry) -> Path:
    """The same as a single file."""
    path = native.with_name("single.safetensors")
    export(native, path, to="ldm", registry=registry)
    return path


@pytest.fixture
def changed(single: Path, tmp_path: Path) -> Callable[[Callable[[dict[str, Tensor]], None]], Path]:
    """A copy of the single file with a change."""

    def make(change: Callable[[dict[str, Tensor]], None]) -> Path:
        tensors = load_file(single)
        change(tensors)
        save_file(tensors, tmp_path / "changed.safetensors")
        return tmp_path / "changed.safetensors"

    return make


def test_diffusers_reads_the_single_file_as_its_own_folder(
    single: Path, sd_folder: Path, diffusers: ModuleType
) -> None:
    from diffusers.loaders import single_file_utils

    tensors = load_file(single)
    for part, convert_theirs in {
        "unet": single_file_utils.convert_ldm_unet_checkpoint,
        "vae": single_file_utils.convert_ldm_vae_checkpoint,
    }.items():
        kinds = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}
        model = kinds[part].from_pretrained(sd_folder / part)
        converted = convert_theirs(dict(tensors), dict(model.config))
        wanted = model.state_dict()
        assert converted.keys() == wanted.keys()
        assert all(torch.equal(converted[name].squeeze(), wanted[name].squeeze()) for name in wanted)


def require_same_model(one: Path, other: Path) -> None:
    """Configuration and weights; only the one that came from a single file keeps what is spare there."""
    headers = [open_checkpoint(path).header for path in (one, other)]
    assert headers[0].config == headers[1].config
    kept = [{name: digest for name, digest in h.digests.items() if name != SPARE} for h in headers]
    assert kept[0] == kept[1]


def test_there_and_back_is_the_same_bits(
    single: Path, native: Path, tmp_path: Path, registry: Registry
) -> None:
    model = convert(single, tmp_path / "back.safetensors", registry=registry, assume=SD1)
    require_same_model(native, tmp_path / "back.safetensors")
    export(tmp_path / "back.safetensors", tmp_path / "again.safetensors", to="ldm", registry=registry)
    assert filecmp.cmp(single, tmp_path / "again.safetensors", shallow=False)
    told = "\n".join(model.lines)
    for fact in ("Stable Diffusion 1.x", "0.18215", "scaled_linear", "epsilon", "16 × 16", "as you say"):
        assert fact in told


def test_the_same_pictures(single: Path, native: Path) -> None:
    one, other = diffloom.load(native, device="cpu"), diffloom.load(single, device="cpu", assume=SD1)
    pictures = [pipe.sample(prompt="a red heart", steps=2).tensor for pipe in (one, other)]
    assert torch.equal(*pictures)


def test_averages_are_kept_beside(native: Path, tmp_path: Path, registry: Registry) -> None:
    checkpoint = open_checkpoint(native)
    groups = {group: checkpoint.group(group) for group in ("frozen", "weights", "ema")}
    groups["ema"] = {name: tensor + 1 for name, tensor in groups["ema"].items()}
    save_checkpoint(tmp_path / "two.safetensors", groups, step=7, config=checkpoint.config)
    export(tmp_path / "two.safetensors", tmp_path / "single.safetensors", to="ldm", registry=registry)
    names = load_file(tmp_path / "single.safetensors").keys()
    assert "model_ema.diffusion_modeltime_embed0weight" in names  # as latent-diffusion's LitEma names it
    convert(tmp_path / "single.safetensors", tmp_path / "back.safetensors", registry=registry, assume=SD1)
    back = open_checkpoint(tmp_path / "back.safetensors")
    for group, tensors in groups.items():
        found = back.group(group)
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_xl_there_and_back(xl_folder: Path, tmp_path: Path, registry: Registry) -> None:
    convert(xl_folder, tmp_path / "a.safetensors", registry=registry)
    export(tmp_path / "a.safetensors", tmp_path / "single.safetensors", to="ldm", registry=registry)
    embedders = {f"conditioner.embedders.{i}": heads for i, heads in enumerate(("4", "2"))}
    answers = {
        **HEADS,
        "model.diffusion_model.heads": "4",
        **{f"{name}.heads": heads for name, heads in embedders.items()},
        **{f"{name}.activation": word for name, word in zip(embedders, ("quick_gelu", "gelu"), strict=True)},
    }
    convert(tmp_path / "single.safetensors", tmp_path / "b.safetensors", registry=registry, assume=answers)
    require_same_model(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


def test_the_second_version_must_be_told_what_it_predicts(
    changed: Any, native: Path, tmp_path: Path, registry: Registry
) -> None:
    """OpenCLIP's names make it the second version, whose networks of both sorts look alike."""
    export(native, tmp_path / "tower.safetensors", to="ldm", part="conditioners.prompt", registry=registry)
    tower = load_file(tmp_path / "tower.safetensors")

    def second(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.startswith("cond_stage_model.")]:
            del tensors[name]
        tensors |= {f"cond_stage_model.model.{name}": tensor for name, tensor in tower.items()}

    file = changed(second)
    with pytest.raises(AmbiguousError, match=r"--assume prediction=epsilon(.|\n)*--assume prediction=v"):
        diffloom.load(file, assume=SD1)
    pipe = diffloom.load(file, device="cpu", assume={**SD1, "prediction": "v"})
    assert pipe.document.prediction.name == "v"
    assert pipe.document.conditioners["prompt"].encoders[0].layer == "penultimate"


def drop(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: tensors.pop(name)


NETWORK, CODEC = "model.diffusion_model.out.2.bias", "first_stage_model.decoder.conv_in.bias"
TOWER = "cond_stage_model.transformer.text_model.final_layer_norm.bias"


@pytest.mark.parametrize("name", [NETWORK, CODEC, TOWER])
@pytest.mark.parametrize("how", ["missing", "extra", "renamed", "misshapen"])
def test_one_name_too_few_or_too_many(
    changed: Any, name: str, how: str, tmp_path: Path, registry: Registry
) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        if how in ("missing", "renamed"):
            tensor = tensors.pop(name)
        if how == "renamed":
            tensors[f"{name}x"] = tensor
        if how == "extra":
            tensors[f"{name}x"] = tensors[name].clone()
        if how == "misshapen":
            tensors[name] = tensors[name][:-1].clone()

    with pytest.raises(CheckpointError) as caught:
        convert(changed(change), tmp_path / "out.safetensors", registry=registry, assume=SD1)
    assert name.rpartition(".")[0].rpartition(".")[2] in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(stranger=torch.zeros(1)), "1 tensors left over .*stranger"),
        (lambda t: t["posterior_variance"].mul_(2), "posterior_variance contradict its betas"),
        (
            lambda t: t.update({"betas": t["betas"] ** 2}),
            "betas from .* is none of linear, scaled_linear and cosine",
        ),
        (lambda t: t.update({"model_ema.x": torch.zeros(1)}), "1 tensors left over .*model_ema.x"),
    ],
)
def test_what_belongs_to_no_part_is_refused(changed: Any, change: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        diffloom.load(changed(change), assume=SD1)


def test_an_answer_to_no_question_is_a_mistake(single: Path) -> None:
    with pytest.raises(CheckpointError, match="--assume predicton answers no question here"):
        diffloom.load(single, assume={**SD1, "predicton": "v"})


def test_without_tables_the_family_says_the_schedule(changed: Any) -> None:
    def bare(tensors: dict[str, Tensor]) -> None:
        for name in TABLES:
            del tensors[name]
        tensors["model_ema.decay"] = torch.tensor(0.9999)  # as files pruned to their averages keep it

    pipe = diffloom.load(changed(bare), device="cpu", assume=SD1)
    assert pipe.document.schedule == ScaledLinearSchedule()


SCHEDULES = [
    ScaledLinearSchedule(),
    ScaledLinearSchedule(beta_start=0.0015, beta_end=0.0195),
    ScaledLinearSchedule(beta_start=0.0015, beta_end=0.0205),
    LinearSchedule(),
    LinearSchedule(steps=250, beta_start=4e-4, beta_end=0.08),
    CosineSchedule(),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_tables_are_latent_diffusions(schedule: Any) -> None:
    """Written out as its `register_schedule` computes them, in float64 numpy, and stored in float32."""
    betas = np.asarray(schedule.betas())
    alphas = 1 - betas
    cumulative = np.cumprod(alphas)
    before = np.append(1.0, cumulative[:-1])
    variance = betas * (1 - before) / (1 - cumulative)
    wanted = {
        "betas": betas,
        "alphas_cumprod": cumulative,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(cumulative),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - cumulative),
        "log_one_minus_alphas_cumprod": np.log(1 - cumulative),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / cumulative),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / cumulative - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * np.sqrt(before) / (1 - cumulative),
        "posterior_mean_coef2": (1 - before) * np.sqrt(alphas) / (1 - cumulative),
    }
    tables = ldm_tables(schedule.build())
    assert tables.keys() == wanted.keys()
    for name, table in wanted.items():
        # to the last bit of float32 or the one beside it
        torch.testing.assert_close(tables[name], torch.tensor(table).float(), rtol=1.2e-7, atol=1e-30)
    assert schedule_of(tables, place="here") == schedule
    assert schedule_of({"betas": tables["betas"].half()}, place="here") == schedule
    assert schedule_of({"alphas_cumprod": tables["alphas_cumprod"]}, place="here") == schedule
