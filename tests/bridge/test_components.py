"""Single networks of anybody's, and the files that `weights:` names. Oracle: the networks the weights came from."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import diffloom
from diffloom import config
from diffloom.bridge.conversion import convert
from diffloom.bridge.export.exporting import export
from diffloom.checkpoint import open_checkpoint
from diffloom.condition import Condition
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError
from diffloom.registry import Registry

UNET, VAE, TOWER = "backbone", "space", "conditioner"


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}


def require_equal(mine: dict[str, Tensor], others: dict[str, Tensor]) -> None:
    assert mine.keys() == others.keys()
    assert all(torch.equal(mine[name], others[name]) for name in mine)


@pytest.fixture(scope="module")
def native(sd_folder: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("native") / "sd.safetensors"
    convert(sd_folder, path, registry=registry)
    return path


def test_a_backbone_computes_what_theirs_does(sd_folder: Path, diffusers: ModuleType) -> None:
    theirs = diffusers.UNet2DConditionModel.from_pretrained(sd_folder / "unet").eval()
    mine = diffloom.load_component(sd_folder / "unet", device="cpu")
    x_BCHW, t_B, tokens_BLD = torch.randn(2, 4, 8, 8), torch.tensor([3.0, 700.0]), torch.randn(2, 7, 32)
    with torch.no_grad():
        wanted = theirs(x_BCHW, t_B.long(), encoder_hidden_states=tokens_BLD).sample
        found = mine(x_BCHW, t_B, Condition(tokens_BLD=tokens_BLD))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_an_autoencoder_computes_what_theirs_does(sd_folder: Path, diffusers: ModuleType) -> None:
    theirs = diffusers.AutoencoderKL.from_pretrained(sd_folder / "vae").eval()
    mine = diffloom.load_component(sd_folder / "vae", device="cpu")
    images_BCHW = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        wanted = theirs.encode(images_BCHW).latent_dist.mode() * theirs.config.scaling_factor
        torch.testing.assert_close(mine.encode(images_BCHW), wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            mine.decode(wanted),
            theirs.decode(wanted / theirs.config.scaling_factor).sample,
            rtol=1e-5,
            atol=1e-5,
        )


@pytest.mark.parametrize(("kind", "folder"), [(UNET, "unet"), (VAE, "vae"), (TOWER, "text_encoder")])
def test_the_same_network_from_everywhere(
    *, kind: str, folder: str, sd_folder: Path, native: Path, tmp_path: Path, registry: Registry
) -> None:
    """Its own folder, the pipeline's folder, a checkpoint of ours, and its own file as exported."""
    alone = state(diffloom.load_component(sd_folder / folder, device="cpu"))
    require_equal(state(diffloom.load_component(sd_folder, kind, device="cpu")), alone)
    require_equal(state(diffloom.load_component(sd_folder, folder, device="cpu")), alone)
    require_equal(state(diffloom.load_component(native, kind, device="cpu")), alone)
    part = "conditioners.prompt" if kind == TOWER else kind
    export(native, tmp_path / "theirs", to="diffusers", part=part, registry=registry)
    require_equal(state(diffloom.load_component(tmp_path / "theirs", kind, device="cpu")), alone)


@pytest.mark.parametrize("kind", [None, "sampler"])
def test_which_of_several(sd_folder: Path, native: Path, kind: str | None) -> None:
    with pytest.raises(CheckpointError, match=r"has .*unet \(backbone\)"):
        diffloom.load_component(sd_folder, kind)
    with pytest.raises(CheckpointError, match=r"has .*backbone"):
        diffloom.load_component(native, kind)


def test_a_network_of_another_kind(sd_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="is a space, diffloom/autoencoder_kl, and no backbone"):
        diffloom.load_component(sd_folder / "vae", UNET)


def test_a_network_that_nobody_knows(tmp_path: Path) -> None:
    save_file({"a.b": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"no installed plugin knows network: 1 tensors \(a.b, …\)"):
        diffloom.load_component(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="no installed plugin knows network"):
        diffloom.load(tmp_path / "x.safetensors")


def test_another_type(sd_folder: Path) -> None:
    half = diffloom.load_component(sd_folder / "unet", dtype=torch.float16, device="cpu")
    whole = diffloom.load_component(sd_folder / "unet", device="cpu")
    require_equal(state(half), {name: tensor.half() for name, tensor in state(whole).items()})


def test_half_precision_stays_so_and_is_computed_in(
    sd_folder: Path, tmp_path: Path, registry: Registry
) -> None:
    convert(sd_folder, tmp_path / "half.safetensors", registry=registry, dtype=torch.bfloat16)
    pipe = diffloom.load(tmp_path / "half.safetensors", device="cpu")
    assert {p.dtype for p in pipe.module.parameters()} == {torch.bfloat16}
    images = pipe.sample(prompt="a red heart", steps=2).tensor
    whole = diffloom.load(sd_folder, device="cpu").sample(prompt="a red heart", steps=2).tensor
    # bfloat16 keeps 8 bits; guidance multiplies what it loses
    assert (images - whole).abs().mean() < 0.05


@pytest.fixture(scope="module")
def described(native: Path, registry: Registry) -> dict[str, object]:
    """The configuration of the small Stable Diffusion, as a mapping."""
    text = open_checkpoint(native).config
    values: dict[str, object] = plain(config.parse(text, name="native", registry=registry).document)
    return values


def built(values: dict[str, object], **weights: str) -> dict[str, Tensor]:
    overrides = [f"{path.replace('_of_', '.')}={place}" for path, place in weights.items()]
    return state(diffloom.build(values, overrides, device="cpu").module)


def test_weights_of_a_whole_model(
    described: dict[str, object], native: Path, sd_folder: Path, tmp_path: Path, registry: Registry
) -> None:
    single = tmp_path / "single.safetensors"
    export(native, single, to="ldm", registry=registry)
    wanted = state(diffloom.load(native, device="cpu").module)
    for source in (native, sd_folder, single):
        require_equal(built({**described, "weights": str(source)}), wanted)
    assert not torch.equal(built(described)["backbone.enter.weight"], wanted["backbone.enter.weight"])


@pytest.mark.parametrize(("part", "folder"), [("backbone", "unet"), ("space", "vae")])
def test_weights_of_a_part(
    described: dict[str, object], native: Path, sd_folder: Path, part: str, folder: str
) -> None:
    """From its own folder, from a whole model's, and from a checkpoint of ours; the others begin at random."""
    wanted = state(diffloom.load(native, device="cpu").module)
    fresh = built(described)
    for source in (sd_folder / folder, sd_folder, native):
        section = described[part]
        assert isinstance(section, dict)
        found = built({**described, part: {**section, "weights": str(source)}})
        for name, tensor in found.items():
            assert torch.equal(tensor, (wanted if name.startswith(f"{part}.") else fresh)[name]), name


def test_weights_of_one_text_encoder_of_two(xl_folder: Path, registry: Registry, tmp_path: Path) -> None:
    convert(xl_folder, tmp_path / "xl.safetensors", registry=registry)
    wanted = diffloom.load(tmp_path / "xl.safetensors", device="cpu")
    values = plain(wanted.document)
    for source in (xl_folder, xl_folder / "text_encoder_2", tmp_path / "xl.safetensors"):
        values["conditioners"]["prompt"]["encoders"][1]["weights"] = str(source)
        module = diffloom.build(values, device="cpu").module
        towers, others = (
            module["conditioners"]["prompt"].towers,
            wanted.module["conditioners"]["prompt"].towers,
        )
        require_equal(state(towers[1]), state(others[1]))
        assert not torch.equal(towers[0].text.ln_final.bias, others[0].text.ln_final.bias)


@pytest.mark.parametrize("how", ["missing", "extra", "wider"])
def test_weights_that_do_not_fit(
    described: dict[str, object], sd_folder: Path, how: str, tmp_path: Path
) -> None:
    tensors = load_file(sd_folder / "unet" / "diffusion_pytorch_model.safetensors")
    if how == "missing":
        del tensors["conv_out.bias"]
    if how == "extra":
        tensors["conv_out.bias2"] = torch.zeros(4)
    if how == "wider":
        tensors["conv_out.bias"] = torch.zeros(5)
    save_file(tensors, tmp_path / "unet.safetensors")
    section = described["backbone"]
    assert isinstance(section, dict)
    with pytest.raises(CheckpointError, match=r"nothing was loaded\n  1 .*conv_out.bias"):
        built({**described, "backbone": {**section, "weights": str(tmp_path / "unet.safetensors")}})


def test_a_whole_model_of_other_parts(
    described: dict[str, object], ddpm_folder: Path, xl_folder: Path
) -> None:
    with pytest.raises(CheckpointError, match="has no weights for space"):
        built({**described, "weights": str(ddpm_folder)})
    with pytest.raises(
        CheckpointError, match=r"beside what the configuration describes|another architecture"
    ):
        built({**described, "weights": str(xl_folder)})
