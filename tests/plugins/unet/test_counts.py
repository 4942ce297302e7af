"""Oracle: the published and measured parameter counts; the networks are built without storage."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import UNet

DDPM_256 = {"channels": (128, 128, 256, 256, 512, 512), "attention_resolutions": (16,)}
LDM_4 = {
    "channels": (224, 448, 672, 896),
    "attention_resolutions": (32, 16, 8),
    "head_channels": 32,
    "norm_eps": 1e-5,
    "downsample_padding": "symmetric",
    "time_cos_first": True,
    "time_frequency_shift": 0,
}

IDDPM = {
    "blocks_per_level": 3,
    "attention_resolutions": (16, 8),
    "norm_eps": 1e-5,
    "embedding": "scale_shift",
    "downsample_padding": "symmetric",
    "time_cos_first": True,
    "time_frequency_shift": 0,
    "learn_variance": True,
}


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("config", "size", "count"),
    [
        ({}, 32, 35_746_307),  # DDPM CIFAR-10, Ho et al. 2020: "35.7M"
        (DDPM_256, 256, 113_673_219),  # DDPM 256², Ho et al. 2020: "114M"; diffusers' train_unconditional
        (LDM_4, 64, 274_056_163),  # LDM-4 unconditional, Rombach et al. 2022: "274M"
        ({**IDDPM, "channels": (128, 256, 256, 256)}, 32, 52_546_438),  # CIFAR-10, Nichol & Dhariwal 2021
        ({**IDDPM, "channels": (128, 256, 384, 512)}, 64, 121_063_942),  # ImageNet-64 unconditional, likewise
    ],
)
def test_counts(config: dict[str, Any], size: int, count: int) -> None:
    with torch.device("meta"):
        network = UNet(**config).build(
            space=SpaceInfo(channels=3, height=size, width=size), condition=ConditionInfo()
        )
    assert parameters(network) == count


def test_count_with_classes() -> None:
    """ImageNet-64 class-conditional, Nichol & Dhariwal 2021: 1000 classes, without a null class."""
    wide = UNet(**IDDPM, channels=(192, 384, 576, 768))
    with torch.device("meta"):
        network = wide.build(
            space=SpaceInfo(channels=3, height=64, width=64), condition=ConditionInfo(classes=1000)
        )
    assert parameters(network) == 273_049_350


def test_classes_variance_and_stacked_channels_add_what_they_must() -> None:
    space = SpaceInfo(channels=3, height=32, width=32)
    with torch.device("meta"):
        plain = UNet().build(space=space, condition=ConditionInfo())
        full = UNet(learn_variance=True).build(space=space, condition=ConditionInfo(classes=11, concat=4))
    added = 11 * 512 + 4 * 128 * 9 + 3 * (128 * 9 + 1)  # the embedding, the first convolution, the last
    assert parameters(full) - parameters(plain) == added
