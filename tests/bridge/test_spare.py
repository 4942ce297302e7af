"""What a single file has beside its networks' weights. Oracle: the bits that went in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import diffloom
from diffloom.bridge.conversion import convert
from diffloom.bridge.export.exporting import export
from diffloom.bridge.export.ldm_file import SPARE
from diffloom.bridge.layouts.tables import TABLES
from diffloom.checkpoint import open_checkpoint, read_header
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError
from diffloom.registry import Registry

HEADS = {"model.diffusion_model.heads": "2", "first_stage_model.norm_groups": "4", "image_size": "16"}
TOWER = {"cond_stage_model.heads": "4", "cond_stage_model.activation": "quick_gelu"}
XL = {
    **HEADS,
    "model.diffusion_model.heads": "4",
    **{f"conditioner.embedders.{i}.heads": heads for i, heads in enumerate(("4", "2"))},
    **{f"conditioner.embedders.{i}.activation": act for i, act in enumerate(("quick_gelu", "gelu"))},
}
IDS = torch.arange(77)[None]


def single(folder: Path, place: Path, registry: Registry) -> dict[str, Tensor]:
    """The tensors of the single file that a pipeline becomes."""
    convert(folder, place / "first.safetensors", registry=registry)
    export(place / "first.safetensors", place / "plain.safetensors", to="ldm", registry=registry)
    return load_file(place / "plain.safetensors")


def require_back(
    tensors: dict[str, Tensor], place: Path, registry: Registry, assume: Mapping[str, str]
) -> Path:
    """Single file → native → single file: the same names, types and bits. Gives the native file."""
    source, native, back = (place / f"{name}.safetensors" for name in ("source", "native", "back"))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, source)
    convert(source, native, registry=registry, assume=assume)
    export(native, back, to="ldm", registry=registry)
    found = load_file(back)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
    return native


@pytest.fixture(scope="module")
def sd2(sd_folder: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """A file like Stable Diffusion 2.x: open_clip's tower, with a projection and a temperature that are not read."""
    place = tmp_path_factory.mktemp("sd2")
    tensors = single(sd_folder, place, registry)
    tower = place / "tower.safetensors"
    export(place / "first.safetensors", tower, to="ldm", part="conditioners.prompt", registry=registry)
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith("cond_stage_model.")}
    return others | {
        **{f"cond_stage_model.model.{name}": tensor for name, tensor in load_file(tower).items()},
        "cond_stage_model.model.text_projection": torch.randn(32, 24),
        "cond_stage_model.model.logit_scale": torch.tensor(4.6052),
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.num_updates": torch.tensor(875000, dtype=torch.int32),
    }


SD2 = {**HEADS, **TOWER, "prediction": "v"}


def test_the_second_version(sd2: dict[str, Tensor], tmp_path: Path, registry: Registry) -> None:
    native = require_back(sd2, tmp_path, registry, SD2)
    spare = open_checkpoint(native).group(SPARE)
    assert spare.keys() == {
        *TABLES,
        "cond_stage_model.model.text_projection",
        "cond_stage_model.model.logit_scale",
        "model_ema.decay",
        "model_ema.num_updates",
    }


def test_half_precision_and_no_tables(sd2: dict[str, Tensor], tmp_path: Path, registry: Registry) -> None:
    """As pruned files are: nothing is added that was not there."""
    pruned = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in sd2.items()
        if name not in TABLES
    }
    require_back(pruned, tmp_path, registry, SD2)


def test_xl(xl_folder: Path, tmp_path: Path, registry: Registry) -> None:
    tensors = single(xl_folder, tmp_path, registry)
    first, second = (f"conditioner.embedders.{name}" for name in ("0.transformer.text_model", "1.model"))
    assert f"{second}.text_projection" in tensors
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    signal = torch.cumprod(1 - betas, 0)
    tensors |= {
        f"{first}.embeddings.position_ids": IDS,
        f"{second}.logit_scale": torch.tensor(4.6),
        "denoiser.sigmas": (((1 - signal) / signal) ** 0.5).float(),
    }
    require_back(tensors, tmp_path, registry, XL)


def test_latent_diffusion_with_prompts(bert_folder: Path, tmp_path: Path, registry: Registry) -> None:
    tensors = single(bert_folder, tmp_path, registry)
    width = tensors["cond_stage_model.transformer.token_emb.weight"].shape[1]
    tensors |= {
        "cond_stage_model.transformer.to_logits.weight": torch.randn(20, width),
        "cond_stage_model.transformer.to_logits.bias": torch.randn(20),
        "first_stage_model.loss.logvar": torch.zeros(()),
        "scale_factor": torch.tensor(0.18215),
    }
    words = next(bert_folder.glob("tokenizer/tokenizer.json"))
    answers = {
        "model.diffusion_model.heads": "2",
        "first_stage_model.norm_groups": "4",
        "image_size": "32",
        "cond_stage_model.head_channels": "8",
        "tokenizer": str(words),
    }
    require_back(tensors, tmp_path, registry, answers)


def test_averages_that_are_the_weights_stay_beside_them(
    sd2: dict[str, Tensor], tmp_path: Path, registry: Registry
) -> None:
    start = "model.diffusion_model."
    averages = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): tensor.clone()
        for name, tensor in sd2.items()
        if name.startswith(start)
    }
    require_back(sd2 | averages, tmp_path, registry, SD2)


@pytest.fixture(scope="module")
def native(sd2: dict[str, Tensor], registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second version as a checkpoint of ours."""
    place = tmp_path_factory.mktemp("native")
    save_file(sd2, place / "source.safetensors")
    convert(place / "source.safetensors", place / "native.safetensors", registry=registry, assume=SD2)
    return place / "native.safetensors"


def test_nothing_else_reads_it(native: Path, tmp_path: Path, registry: Registry) -> None:
    """A damaged group is only noticed by the export that would write it."""
    data = bytearray(native.read_bytes())
    (name,) = [n for n in read_header(native).names if n.endswith("text_projection") and n.startswith(SPARE)]
    bits = load_file(native)[name].numpy().tobytes()
    assert data.count(bits) == 1
    data[data.index(bits)] ^= 1
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(data)
    pipe = diffloom.load(damaged, device="cpu")
    assert not any("text_projection" in name for name in pipe.module.state_dict())
    filled = diffloom.build({**plain(pipe.document), "weights": str(damaged)}, device="cpu").module
    assert all(torch.equal(t, filled.state_dict()[n]) for n, t in pipe.module.state_dict().items())
    export(damaged, tmp_path / "unet", to="diffusers", part="backbone", registry=registry)
    with pytest.raises(CheckpointError, match=r"its group 'spare.ldm' does not match its digest"):
        export(damaged, tmp_path / "single.safetensors", to="ldm", registry=registry)


def test_tables_of_another_schedule_are_not_kept(
    sd2: dict[str, Tensor], tmp_path: Path, registry: Registry
) -> None:
    source, native, back = (tmp_path / f"{name}.safetensors" for name in ("source", "native", "back"))
    save_file(sd2, source)
    model = convert(source, native, ["schedule.beta_end=0.013"], registry=registry, assume=SD2)
    assert any(line.startswith("spare: left out") for line in model.lines)
    assert SPARE not in read_header(native).digests
    export(native, back, to="ldm", registry=registry)
    assert load_file(back)["betas"][-1].item() == pytest.approx(0.013)


def test_a_model_that_is_no_such_file_any_more_keeps_nothing(
    sd2: dict[str, Tensor], tmp_path: Path, registry: Registry
) -> None:
    source, native = tmp_path / "source.safetensors", tmp_path / "native.safetensors"
    save_file(sd2, source)
    model = convert(source, native, ["prediction=x0"], registry=registry, assume=SD2)
    assert any("as no single file can say this model (prediction" in line for line in model.lines)
    assert SPARE not in read_header(native).digests


@pytest.mark.parametrize(
    ("override", "part"),
    [("backbone.norm_eps=1e-6", "norm_eps"), ("backbone.time_cos_first=false", "time_cos_first")],
)
def test_a_network_that_those_names_do_not_mean_is_not_written(
    override: str, part: str, sd_folder: Path, tmp_path: Path, registry: Registry
) -> None:
    """latent-diffusion has one epsilon and one order of sines; its readers would compute another function."""
    convert(sd_folder, tmp_path / "odd.safetensors", [override], registry=registry)
    for which in (None, "backbone"):
        dest = tmp_path / "single.safetensors"
        with pytest.raises(CheckpointError, match=rf"backbone: latent-diffusion cannot express {part}"):
            export(tmp_path / "odd.safetensors", dest, to="ldm", part=which, registry=registry)
        assert not dest.exists()
