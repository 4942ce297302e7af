"""Small models of other programs, with random weights made here; their libraries imported once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from diffloom.bridge.export.clip_words import clip_words
from diffloom.plugins import load_registry
from diffloom.registry import Registry
from diffloom_clip.library import open_clip

SD_UNET = {
    "sample_size": 8,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 32,
    "attention_head_dim": 2,
}
PIXELS = {
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 32,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_act": "quick_gelu",
    "eos_token_id": 49407,
    "bos_token_id": 49406,
    "vocab_size": 49408,
}
VAE = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "sample_size": 16,
}
SD_SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
ANSWERS = {
    "model.diffusion_model.heads": "2",
    "cond_stage_model.heads": "4",
    "cond_stage_model.activation": "quick_gelu",
    "first_stage_model.norm_groups": "4",
    "image_size": "16",
}
"""What the names and shapes of the small model do not say in a single file."""


def stirred(module: nn.Module, seed: int) -> nn.Module:
    """Every parameter moved, so that none is where all networks begin."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every installed component."""
    return load_registry()


@pytest.fixture(scope="session")
def diffusers() -> ModuleType:
    """diffusers; open_clip comes first, since both stumble over a torchvision without its operators."""
    open_clip()
    import diffusers

    return diffusers


@pytest.fixture(scope="session")
def tokenizer(diffusers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """transformers' tokenizer of CLIP, by what it fills up with: `end` or `zero`."""
    from transformers import CLIPTokenizer

    def make(pad: str) -> Any:
        folder = tmp_path_factory.mktemp("tokenizer")
        for name, text in clip_words(pad=pad, length=77).items():
            (folder / name).write_text(text, encoding="utf-8")
        return CLIPTokenizer.from_pretrained(folder)

    return make


@pytest.fixture(scope="session")
def sd_folder(
    diffusers: ModuleType, tokenizer: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A pipeline like Stable Diffusion 1.x, saved by diffusers."""
    from transformers import CLIPTextConfig, CLIPTextModel

    pipeline = diffusers.StableDiffusionPipeline(
        vae=stirred(diffusers.AutoencoderKL(**VAE), 1),
        text_encoder=stirred(CLIPTextModel(CLIPTextConfig(**TEXT)), 2),
        tokenizer=tokenizer("end"),
        unet=stirred(diffusers.UNet2DConditionModel(**SD_UNET), 3),
        scheduler=diffusers.DDIMScheduler(**SD_SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path_factory.mktemp("theirs") / "sd"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def xl_folder(
    diffusers: ModuleType, tokenizer: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A pipeline like Stable Diffusion XL, saved by diffusers."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    second = {"hidden_size": 16, "num_attention_heads": 2, "hidden_act": "gelu", "projection_dim": 24}
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32 + 16,
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24 + 6 * 8,
    )
    pipeline = diffusers.StableDiffusionXLPipeline(
        vae=stirred(diffusers.AutoencoderKL(**VAE, scaling_factor=0.13025, force_upcast=False), 1),
        text_encoder=stirred(CLIPTextModel(CLIPTextConfig(**TEXT)), 2),
        text_encoder_2=stirred(CLIPTextModelWithProjection(CLIPTextConfig(**{**TEXT, **second})), 5),
        tokenizer=tokenizer("end"),
        tokenizer_2=tokenizer("zero"),
        unet=stirred(unet, 3),
        scheduler=diffusers.DDIMScheduler(**SD_SCHEDULER),
    )
    folder = tmp_path_factory.mktemp("theirs") / "xl"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def ldm_folder(diffusers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of a codebook's latents without a condition, saved by diffusers."""
    vqvae = diffusers.VQModel(**{**VAE, "latent_channels": 3, "num_vq_embeddings": 16})
    unet = diffusers.UNet2DModel(**PIXELS)
    pipeline = diffusers.LDMPipeline(
        vqvae=stirred(vqvae, 6),
        unet=stirred(unet, 4),
        scheduler=diffusers.DDIMScheduler(**SD_SCHEDULER),
    )
    folder = tmp_path_factory.mktemp("theirs") / "ldm"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_folder(diffusers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline like latent-diffusion's text-to-image, saved by diffusers."""
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
    from transformers import BertTokenizer

    folder = tmp_path_factory.mktemp("theirs")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "a",
        "red",
        "heart",
        "two",
        "cats",
        "&",
        "dog",
        ",",
    ]
    (folder / "vocab.txt").write_text("\n".join(words))
    bert = LDMBertConfig(
        vocab_size=20,
        max_position_embeddings=77,
        encoder_layers=1,
        encoder_ffn_dim=64,
        encoder_attention_heads=2,
        head_dim=8,
        d_model=16,
    )
    levels = {
        "block_out_channels": (
            4,
            4,
            4,
            4,
        ),  # its pipeline divides pictures by 8, whatever the autoencoder does
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    unet = diffusers.UNet2DConditionModel(**{**SD_UNET, "sample_size": 4, "cross_attention_dim": 16})
    pipeline = diffusers.LDMTextToImagePipeline(
        vqvae=stirred(diffusers.AutoencoderKL(**{**VAE, **levels}), 1),
        bert=stirred(LDMBertModel(bert), 7),
        tokenizer=BertTokenizer(str(folder / "vocab.txt")),
        unet=stirred(unet, 3),
        scheduler=diffusers.DDIMScheduler(**SD_SCHEDULER),
    )
    pipeline.save_pretrained(folder / "bert")
    return folder / "bert"


@pytest.fixture(scope="session")
def ddpm_folder(diffusers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of pixels, saved by diffusers."""
    unet = stirred(diffusers.UNet2DModel(**PIXELS), 4)
    folder = tmp_path_factory.mktemp("theirs") / "ddpm"
    diffusers.DDIMPipeline(unet, diffusers.DDIMScheduler()).save_pretrained(folder)
    return folder
