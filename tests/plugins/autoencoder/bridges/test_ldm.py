"""latent-diffusion's names. Oracles: diffusers' converter of such files, and the published names themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

from diffloom.bridge import Foreign, Inferred, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ
from diffloom_autoencoder.bridges.levelled import DiffusersKL, LdmKL, LdmVQ

IMAGE = ImageInfo(256, 256, 3)


@pytest.mark.parametrize(
    "part",
    [
        AutoencoderKL(channels=(32, 64, 96), latent_channels=4),
        AutoencoderKL(channels=(32, 32), latent_channels=16, quant_convs=False, blocks_per_level=3),
    ],
)
def test_diffusers_converts_it_to_what_we_write_for_diffusers(part: Any) -> None:
    torch.manual_seed(0)
    module = part.build(image=IMAGE)
    for weight in module.parameters():
        torch.nn.init.normal_(weight)
    single = {f"first_stage_model.{name}": tensor for name, tensor in theirs_of(module, LdmKL()).items()}
    config = DiffusersKL().config(Inferred(part, {"image": IMAGE}))
    converted = convert_ldm_vae_checkpoint(single, config)
    expected = theirs_of(module, DiffusersKL())
    assert converted.keys() == expected.keys()
    assert all(torch.equal(converted[name], expected[name]) for name in expected)


def test_levels_that_attend_have_the_published_names() -> None:
    """Of KL-f16's checkpoint, whose fifth level attends; diffusers' converter leaves these out."""
    part = AutoencoderKL(channels=(32, 32, 32, 32, 64), attention_levels=(4,), latent_channels=16)
    with torch.device("meta"):
        shapes = {
            name: tuple(tensor.shape) for name, tensor in theirs_of(part.build(image=IMAGE), LdmKL()).items()
        }
    for name in (
        "encoder.down.4.attn.0",
        "encoder.down.4.attn.1",
        "encoder.mid.attn_1",
        "decoder.up.4.attn.2",
    ):
        assert shapes[f"{name}.norm.weight"] == (64,)
        for layer in ("q", "k", "v", "proj_out"):
            assert shapes[f"{name}.{layer}.weight"] == (64, 64, 1, 1)
            assert shapes[f"{name}.{layer}.bias"] == (64,)
    assert shapes["encoder.down.3.downsample.conv.weight"] == (32, 32, 3, 3)
    assert shapes["decoder.up.4.upsample.conv.weight"] == (64, 64, 3, 3)
    assert shapes["decoder.up.3.block.0.nin_shortcut.weight"] == (32, 64, 1, 1)
    assert shapes["quant_conv.weight"] == (32, 32, 1, 1)
    assert not any("attn" in name for name in shapes if ".down.3." in name or ".up.3." in name)


def test_a_codebook_has_the_published_name() -> None:
    part = AutoencoderVQ(channels=(32,), codebook=8)
    assert theirs_of(part.build(image=IMAGE), LdmVQ())["quantize.embedding.weight"].shape == (8, 3)


def test_what_served_training_is_left_out_knowingly(bridge_of: Any) -> None:
    part = AutoencoderKL(channels=(32, 64))
    module = part.build(image=IMAGE)
    tensors = {
        **theirs_of(module, LdmKL()),
        "loss.logvar": torch.zeros(()),
        "loss.discriminator.main.0.weight": torch.zeros(64, 3, 4, 4),
    }
    foreign = Foreign(MemoryTensors(tensors))
    bridge, inferred = bridge_of(AutoencoderKL, foreign)
    fill(inferred.build(), foreign.tensors, bridge)
    with pytest.raises(CheckpointError, match="1 left over: lost"):
        fill(inferred.build(), MemoryTensors({**tensors, "lost": torch.zeros(1)}), bridge)


def test_a_scale_that_nothing_says_is_told(bridge_of: Any) -> None:
    part = AutoencoderKL(channels=(32, 64))
    tensors = MemoryTensors(theirs_of(part.build(image=IMAGE), LdmKL()))
    _, inferred = bridge_of(AutoencoderKL, Foreign(tensors))
    assert inferred.part.scale == 1
    assert any("--assume scale=0.18215 (Stable Diffusion)" in line for line in inferred.told)
    _, inferred = bridge_of(AutoencoderKL, Foreign(tensors, assume={"scale": "0.13025"}))
    assert inferred.part.scale == 0.13025
    assert not any("--assume" in line for line in inferred.told)


def test_an_autoencoder_without_what_tells_its_channels_is_refused(bridge_of: Any) -> None:
    tensors = theirs_of(AutoencoderKL(channels=(32, 64)).build(image=IMAGE), LdmKL())
    for name in ("decoder.conv_in.weight", "encoder.conv_out.weight", "encoder.conv_in.weight"):
        others = {key: tensor for key, tensor in tensors.items() if key != name}
        with pytest.raises(CheckpointError, match=f"without {name}; nothing was loaded"):
            bridge_of(AutoencoderKL, Foreign(MemoryTensors(others)))


def test_one_missing_name_hides_no_level() -> None:
    """It is the one that is told as missing, and not another architecture."""
    part = AutoencoderKL(channels=(32, 64, 64))
    tensors = theirs_of(part.build(image=IMAGE), LdmKL())
    for name in ("encoder.down.1.block.0.conv1.weight", "encoder.down.2.block.1.norm1.weight"):
        others = MemoryTensors({key: tensor for key, tensor in tensors.items() if key != name})
        inferred = LdmKL().infer(Foreign(others))
        assert inferred is not None
        assert inferred.part == part
        with pytest.raises(CheckpointError, match=f"1 missing: {name}$"):
            fill(inferred.build(), others, LdmKL())
