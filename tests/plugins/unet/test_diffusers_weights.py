"""Oracle: diffusers' own state dict, whose tensors must each be used once; what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from safetensors.torch import save_file
from torch import Tensor

from diffloom.errors import CheckpointError
from diffloom_unet import UNetModel
from diffloom_unet.diffusers_weights import from_diffusers

SMALL = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
}


def small(**options: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the configuration of a small `UNet2DModel`."""
    torch.manual_seed(0)
    theirs = UNet2DModel(**{**SMALL, **options})
    return theirs.state_dict(), dict(theirs.config)


def test_every_number_arrives_once() -> None:
    state_dict, config = small(num_class_embeds=3)
    arguments, ours = from_diffusers(state_dict, config)
    given = torch.cat([value.flatten() for value in state_dict.values()]).sort().values
    arrived = torch.cat([value.flatten() for value in ours.values()]).sort().values
    assert torch.equal(arrived, given)
    UNetModel(**arguments).load_state_dict(ours, strict=True)


def test_what_does_not_fit_is_listed_at_once() -> None:
    state_dict, config = small()
    del state_dict["mid_block.attentions.0.to_k.weight"]
    state_dict["conv_in.weight"] = torch.zeros(8, 4, 3, 3)
    state_dict["moon.weight"] = torch.zeros(2)
    with pytest.raises(CheckpointError) as caught:
        from_diffusers(state_dict, config)
    for problem in (
        "missing mid_block.attentions.0.to_k.weight",
        "conv_in.weight: (8, 4, 3, 3), not (8, 3, 3, 3)",
        "left over moon.weight",
    ):
        assert problem in str(caught.value)


def test_classes_need_their_embedding() -> None:
    state_dict, config = small()
    with pytest.raises(CheckpointError, match=r"missing class_embedding\.weight"):
        from_diffusers(state_dict, {**config, "num_class_embeds": 3})


@pytest.mark.parametrize(
    "option",
    [
        {"act_fn": "gelu"},
        {"add_attention": False},
        {"center_input_sample": True},
        {"downsample_type": "resnet"},
        {"upsample_type": "resnet"},
        {"resnet_time_scale_shift": "ada_group"},
        {"attn_norm_num_groups": 2},
        {"time_embedding_type": "fourier"},
        {"mid_block_scale_factor": 2**0.5},
        {"time_embedding_dim": 64},
        {"downsample_padding": 2},
        {"up_block_types": ("UpBlock2D", "UpBlock2D")},
        {"down_block_types": ("DownBlock2D", "SkipDownBlock2D")},
    ],
)
def test_another_network_is_refused_by_name(option: dict[str, Any]) -> None:
    state_dict, config = small()
    with pytest.raises(CheckpointError, match=f"not the U-Net of Ho et al.: .*{next(iter(option))}"):
        from_diffusers(state_dict, {**config, **option})


def test_a_configuration_without_an_option_is_refused() -> None:
    state_dict, config = small()
    del config["freq_shift"], config["block_out_channels"]
    with pytest.raises(CheckpointError, match=r"no freq_shift; no block_out_channels"):
        from_diffusers(state_dict, config)


def test_former_attention_names(tmp_path: Path) -> None:
    """Checkpoints from before diffusers renamed its attention layers, which diffusers itself still reads."""
    state_dict, config = small()
    former = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    old = dict(state_dict)
    for key in state_dict:
        for today, then in former.items():
            if today in key:
                old[key.replace(today, then)] = old.pop(key)
    assert sum("proj_attn.weight" in key for key in old) == 4  # one on the way down, the middle, two up
    save_file(old, tmp_path / "diffusion_pytorch_model.safetensors")
    UNet2DModel(**SMALL).save_config(tmp_path)
    theirs = UNet2DModel.from_pretrained(tmp_path)
    _, expected = from_diffusers(theirs.state_dict(), theirs.config)
    _, ours = from_diffusers(old, config)
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[key], expected[key]) for key in expected)
