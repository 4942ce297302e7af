"""Whole calls, from nothing or a prompt to pictures, beside diffusers' pipelines.

The weights are at random, the same on both sides through the bridge; so are the first noise, the steps and the
schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.peers import stirred
from benchmarks.speed.works.decode import KL_F8
from benchmarks.speed.works.latent_step import SMALL as TEXT_UNET
from benchmarks.speed.works.sampling_step import CIFAR
from diffusers import (
    AutoencoderKL,
    DDIMPipeline,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from torch import Tensor

import diffloom
from diffloom.bridge.export.clip_words import clip_words

PIXEL_COUNT, PIXEL_STEPS = 4, 5
STEPS, SCALE = 5, 7.5
PROMPT = "a red heart over a quiet sea"
LATENT = TEXT_UNET | {"block_out_channels": (64, 128, 128), "layers_per_block": 1}
"""The network of `latent_step`, thinner."""
VAE = KL_F8 | {"block_out_channels": (32, 64, 64, 64), "layers_per_block": 1}
"""Stable Diffusion's, thinner."""
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "hidden_act": "quick_gelu",
    "eos_token_id": 49407,
    "bos_token_id": 49406,
}
SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
"""Stable Diffusion's."""


def cases(device: torch.device) -> Iterator[Case]:
    """Pictures out of noise in pixels, and a picture of a prompt through latents."""
    with TemporaryDirectory() as folder:
        yield _of_nothing(Path(folder), device)
        yield _of_a_prompt(Path(folder), device)


def _of_nothing(folder: Path, device: torch.device) -> Case:
    peer = DDIMPipeline(stirred(UNet2DModel(**CIFAR)), DDIMScheduler(clip_sample=False))
    own, peer = _both(peer, folder / "pixels", device)

    def theirs() -> Tensor:
        noise = torch.Generator().manual_seed(0)
        images = peer(
            batch_size=PIXEL_COUNT, generator=noise, num_inference_steps=PIXEL_STEPS, output_type="np"
        ).images
        return _as_ours(images)

    shape = (PIXEL_COUNT, *own["auto"].document.space_info.shape)
    start_BCHW = torch.randn(shape, generator=torch.Generator().manual_seed(0))  # what their pipeline draws

    def mine(precision: str) -> Tensor:
        return own[precision].sample(start=start_BCHW, steps=PIXEL_STEPS).tensor

    title = f"pixel U-Net 35.7 M, {PIXEL_COUNT} pictures of 32×32, {PIXEL_STEPS} steps, whole call"
    return Case(title, Arm("diffusers DDIMPipeline", theirs), _arms(mine), rounds=3, fewest=3)


def _of_a_prompt(folder: Path, device: torch.device) -> Case:
    peer = StableDiffusionPipeline(
        vae=stirred(AutoencoderKL(**VAE)),
        unet=stirred(UNet2DConditionModel(**LATENT)),
        scheduler=DDIMScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **_text(folder / "words"),
    )
    own, peer = _both(peer, folder / "latents", device)
    shape = (1, *own["auto"].document.space_info.shape)
    start_BCHW = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)

    def theirs() -> Tensor:
        images = peer(
            PROMPT,
            latents=start_BCHW.clone(),
            num_inference_steps=STEPS,
            guidance_scale=SCALE,
            output_type="np",
        ).images
        return _as_ours(images)

    def mine(precision: str) -> Tensor:
        return own[precision].sample(prompt=PROMPT, start=start_BCHW, steps=STEPS, guidance=SCALE).tensor

    title = f"latent text-to-image, one picture of 256×256, {STEPS} guided steps, whole call"
    return Case(title, Arm("diffusers StableDiffusionPipeline", theirs), _arms(mine), rounds=3, fewest=3)


def _text(folder: Path) -> dict[str, Any]:
    """CLIP's tokenizer, and an encoder like its own."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder.mkdir()
    for name, text in clip_words(pad="end", length=77).items():
        (folder / name).write_text(text, encoding="utf-8")
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    encoder = CLIPTextModel(CLIPTextConfig(**TEXT, vocab_size=49408))
    return {"tokenizer": tokenizer, "text_encoder": stirred(encoder)}


def _both(
    peer: DiffusionPipeline, folder: Path, device: torch.device
) -> tuple[dict[str, diffloom.Pipeline], Any]:
    """Ours, by precision, with the weights of theirs; and theirs where it works."""
    peer.save_pretrained(folder)

    def computing(precision: str) -> diffloom.Pipeline:
        loaded = diffloom.load(folder, device=device)  # each its own: a pipeline keeps one network ready
        sampling = loaded.document.sampling.model_copy(update={"precision": precision})
        return replace(loaded, document=loaded.document.model_copy(update={"sampling": sampling}))

    peer.set_progress_bar_config(disable=True)
    return {precision: computing(precision) for precision in ("fp32", "auto")}, peer.to(device)


def _arms(mine: Callable[[str], Tensor]) -> list[Arm]:
    return [
        Arm("diffloom fp32", partial(mine, "fp32")),
        Arm("diffloom as it comes", partial(mine, "auto")),
    ]


def _as_ours(images_BHWC: Any) -> Tensor:
    """Their pictures in [0, 1] as tensors (B, C, H, W) in [-1, 1]."""
    return 2 * torch.as_tensor(images_BHWC).permute(0, 3, 1, 2) - 1
