"""Oracle: the parameters of the published networks, counted in the originals; ours are built without storage.

The shapes are those of the originals' configurations: guided-diffusion's README flags (`num_channels`, `channel_mult`
by size, `attention_resolutions 32,16,8`), the YAML files of latent-diffusion and Stable Diffusion, and sgm's for XL.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import CrossAttentionUNet, UNet

ADM: dict[str, Any] = {
    "norm_eps": 1e-5,
    "embedding": "scale_shift",
    "resample": "residual",
    "time_cos_first": True,
    "time_frequency_shift": 0,
}
"""use_scale_shift_norm and resblock_updown."""
ADM_NETWORKS: dict[str, tuple[dict[str, Any], int, int, int]] = {
    "ADM 64": (
        {"channels": (192, 384, 576, 768), "blocks_per_level": 3, "head_channels": 64},
        64,
        1000,
        295_904_454,
    ),
    "ADM 128": ({"channels": (256, 256, 512, 768, 1024), "heads": 4}, 128, 1000, 421_529_606),
    "ADM 256": ({"channels": (256, 256, 512, 512, 1024, 1024), "head_channels": 64}, 256, 1000, 553_838_086),
    "ADM 256 unconditional": (
        {"channels": (256, 256, 512, 512, 1024, 1024), "head_channels": 64},
        256,
        0,
        552_814_086,
    ),
    # the first level is half as wide as num_channels, from which the embedding of time has its width
    "ADM 512": (
        {"channels": (128, 256, 256, 512, 512, 1024, 1024), "time_width": 256, "head_channels": 64},
        512,
        1000,
        558_997_638,
    ),
}
"""Fields beside `ADM`, size, classes, parameters; all learn the variance."""


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", ADM_NETWORKS)
def test_adm(name: str) -> None:
    fields, size, classes, count = ADM_NETWORKS[name]
    network = UNet(**ADM, **fields, attention_resolutions=(32, 16, 8), learn_variance=True)
    with torch.device("meta"):
        built = network.build(space=SpaceInfo(3, size, size), condition=ConditionInfo(classes=classes))
    assert parameters(built) == count


def test_ldm_8_churches() -> None:
    """Rombach et al. 2022, LSUN-Churches: ADM's blocks in the latents of KL-f8, and no tokens."""
    network = UNet(**ADM, channels=(192, 384, 384, 768, 768), heads=8, attention_resolutions=(32, 16, 8, 4))
    with torch.device("meta"):
        built = network.build(space=SpaceInfo(4, 32, 32), condition=ConditionInfo())
    assert parameters(built) == 294_966_916


SD2 = {"head_channels": 64, "projection": "linear"}
NETWORKS: dict[str, tuple[dict[str, Any], SpaceInfo, ConditionInfo, int]] = {
    "Stable Diffusion 1": ({"heads": 8}, SpaceInfo(4, 64, 64), ConditionInfo(tokens=768), 859_520_964),
    # concatenated: the mask and the masked picture's latents
    "its inpainting": ({"heads": 8}, SpaceInfo(4, 64, 64), ConditionInfo(tokens=768, concat=5), 859_535_364),
    # concatenated: the picture's latents
    "InstructPix2Pix": ({"heads": 8}, SpaceInfo(4, 64, 64), ConditionInfo(tokens=768, concat=4), 859_532_484),
    "Stable Diffusion 2": (SD2, SpaceInfo(4, 96, 96), ConditionInfo(tokens=1024), 865_910_724),
    "its inpainting, 2": (SD2, SpaceInfo(4, 64, 64), ConditionInfo(tokens=1024, concat=5), 865_925_124),
    # pooled text of 1280, and six numbers of size and crop as 256 sines and cosines each
    "Stable Diffusion XL": (
        {**SD2, "channels": (320, 640, 1280), "transformer_depth": (0, 2, 10), "middle_depth": 10},
        SpaceInfo(4, 128, 128),
        ConditionInfo(tokens=2048, vector=1280 + 6 * 256),
        2_567_463_684,
    ),
    # pooled text, and five numbers: size, crop, aesthetic score
    "its refiner": (
        {
            **SD2,
            "channels": (384, 768, 1536, 1536),
            "transformer_depth": (0, 4, 4, 0),
            "middle_depth": 4,
        },
        SpaceInfo(4, 128, 128),
        ConditionInfo(tokens=1280, vector=1280 + 5 * 256),
        2_259_526_660,
    ),
    "LDM text-to-image": ({"heads": 8}, SpaceInfo(4, 32, 32), ConditionInfo(tokens=1280), 872_300_484),
    "LDM-4 ImageNet (cin256-v2)": (
        {"channels": (192, 384, 576, 960), "transformer_depth": (0, 1, 1, 1), "heads": 1},
        SpaceInfo(3, 64, 64),
        ConditionInfo(tokens=512),
        400_920_579,
    ),
    "LDM-8 ImageNet": (
        {"channels": (256, 512, 1024), "transformer_depth": (1, 1, 1), "head_channels": 32},
        SpaceInfo(4, 32, 32),
        ConditionInfo(tokens=512),
        394_984_196,
    ),
}
"""Fields, space, conditions, parameters."""


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_read_tokens(name: str) -> None:
    fields, space, condition, count = NETWORKS[name]
    with torch.device("meta"):
        built = CrossAttentionUNet(**fields).build(space=space, condition=condition)
    assert parameters(built) == count


def test_stable_diffusion_has_sixteen_transformers() -> None:
    with torch.device("meta"):
        built = CrossAttentionUNet(heads=8).build(
            space=SpaceInfo(4, 64, 64), condition=ConditionInfo(tokens=768)
        )
    places = [name.removesuffix(".read") for name, _ in built.named_modules() if name.endswith(".read")]
    # down: stacks 0, 1, halving, 3, 4, halving, ...; up: three for each level, the coarsest first, which has none
    down, up = (0, 1, 3, 4, 6, 7), range(3, 12)
    assert places == [
        *(f"trunk.down.{index}.parts.1.blocks.0" for index in down),
        "trunk.middle.parts.1.blocks.0",
        *(f"trunk.up.{index}.parts.1.blocks.0" for index in up),
    ]
    heads = {name: part.heads for name, part in built.named_modules() if name.endswith((".read", ".attend"))}
    assert set(heads.values()) == {8}
