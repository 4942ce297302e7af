"""Parameter counts. Oracle: the published networks of Rombach et al. 2022 and of TAESD, counted; VQ in diffusers.

The networks are built without storage.
"""

from __future__ import annotations

import pytest
import torch
from diffusers import VQModel

from diffloom.kinds import ImageInfo, Space
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, TinyAutoencoder

KL_F16 = {"channels": (128, 128, 256, 256, 512), "attention_levels": (4,)}
KL_F32 = {"channels": (128, 128, 256, 256, 512, 512), "attention_levels": (4, 5)}
VQ_F8 = {"channels": (128, 256, 256, 512), "attention_levels": (3,)}


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("component", "count"),
    [
        (AutoencoderKL(channels=(128, 256, 512), latent_channels=3), 55_312_063),
        (AutoencoderKL(), 83_653_863),
        (AutoencoderKL(**KL_F16, latent_channels=16), 69_610_963),
        (AutoencoderKL(**KL_F32, latent_channels=64), 103_880_131),
        (AutoencoderKL(latent_channels=16, quant_convs=False), 83_819_683),
        (TinyAutoencoder(), 2_445_063),
        (TinyAutoencoder(latent_channels=16), 2_458_899),
    ],
    ids=["f4", "f8", "f16", "f32", "16 channels", "tiny", "tiny of 16 channels"],
)
def test_published_counts(component: Space, count: int) -> None:
    with torch.device("meta"):
        assert parameters(component.build(image=ImageInfo(256, 256, 3))) == count


@pytest.mark.parametrize(
    ("component", "attends"),
    [
        (AutoencoderVQ(), "---"),
        (AutoencoderVQ(**VQ_F8, latent_channels=4, codebook=16384), "---A"),
    ],
    ids=["f4", "f8"],
)
def test_vq_counts(component: AutoencoderVQ, attends: str) -> None:
    kinds = ["Attn" if letter == "A" else "" for letter in attends]
    with torch.device("meta"):
        theirs = VQModel(
            block_out_channels=component.channels,
            layers_per_block=2,
            latent_channels=component.latent_channels,
            num_vq_embeddings=component.codebook,
            down_block_types=tuple(f"{kind}DownEncoderBlock2D" for kind in kinds),
            up_block_types=tuple(f"{kind}UpDecoderBlock2D" for kind in reversed(kinds)),
        )
        assert parameters(component.build(image=ImageInfo(256, 256, 3))) == parameters(theirs)
