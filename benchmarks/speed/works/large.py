"""One guided step of the U-Nets of Stable Diffusion 1.5 and XL at their real sizes, in bf16: for GPUs alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case, Precision
from benchmarks.speed.compiled import compiled
from benchmarks.speed.goal import Goal
from benchmarks.speed.peers import gflop, ours_of, stirred
from diffusers import UNet2DConditionModel
from torch import Tensor

from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
from diffloom.inference.compute import TYPES

SD15 = {"cross_attention_dim": 768, "sample_size": 64}
"""diffusers' defaults are the rest."""
SDXL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
TIME = 500.0


def cases(device: torch.device) -> Iterator[Case]:
    """Two rows, one of them unconditional, as in one guided step of one picture. Nothing on a CPU."""
    if device.type != "cuda":
        return
    for name, options in (("SD 1.5 U-Net, 860 M, 512²", SD15), ("SDXL U-Net, 2.57 G, 1024²", SDXL)):
        yield from guided_step(name, options, device, "bf16")
        torch.cuda.empty_cache()


def guided_step(
    name: str, options: Mapping[str, Any], device: torch.device, precision: Precision
) -> Iterator[Case]:
    """The network alone, our texts' keys and values prepared beforehand, as in a walk; then both sides compiled."""
    dtype = TYPES[precision]
    peer = stirred(UNet2DConditionModel(**options)).to(device, dtype)
    own = ours_of(peer, device, "backbone")
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(1))
    size = peer.config.sample_size
    x_BCHW = draw(2, peer.config.in_channels, size, size).to(device, dtype)
    tokens_BLD = draw(2, 77, peer.config.cross_attention_dim).to(device, dtype)
    added, vector_BD = _vector(peer, device, dtype)
    t_B = torch.full((2,), TIME, device=device)

    @torch.inference_mode()
    def theirs(network: Any) -> Tensor:
        output: Tensor = network(x_BCHW, t_B, tokens_BLD, added_cond_kwargs=added).sample
        return output.clone()  # what a CUDA graph returns is overwritten by the next call

    def ours(what: str, goal: Goal, *, compiles: bool = False) -> Arm:
        ready = ReadyNetworks().of(own, precision="auto", compiles=compiles)
        with torch.inference_mode():
            condition = ready.prepare(Condition(tokens_BLD=tokens_BLD, vector_BD=vector_BD), [TIME])

        @torch.inference_mode()
        def call() -> Tensor:
            return ready(x_BCHW, t_B, condition)

        return Arm(f"diffloom {what}", call, [goal], precision)

    title = f"{name}, guided step"
    beside_eager, beside_compiled = Goal(title, "speed", 1.5), Goal(f"{title}, beside compiled", "speed", 1.1)
    eager = Arm(f"diffusers {precision}, eager", partial(theirs, peer), precision=precision)
    plain = ours(precision, beside_eager)
    yield Case(title, eager, [plain], counts=True)
    whole = Arm(
        f"diffusers {precision}, compiled", partial(theirs, compiled(peer, device)), precision=precision
    )
    blocks = ours(f"{precision}, compiled", beside_compiled, compiles=True)
    yield Case(title, whole, [replace(plain, goals=[beside_compiled]), blocks], gflop(eager.call))


def _vector(
    peer: UNet2DConditionModel, device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, Tensor], Tensor | None]:
    """What XL is told beside its tokens: as diffusers takes it, and as the vector that it makes of it."""
    if peer.config.addition_embed_type is None:
        return {}, None
    numbers = peer.config.projection_class_embeddings_input_dim - 6 * peer.config.addition_time_embed_dim
    pooled_BD = torch.randn(2, numbers, generator=torch.Generator().manual_seed(2)).to(device, dtype)
    sizes_B6 = torch.tensor([[1024, 1024, 0, 0, 1024, 1024]] * 2, device=device, dtype=dtype)
    waves_BD = peer.add_time_proj(sizes_B6.flatten()).reshape(2, -1).to(dtype)
    return {"text_embeds": pooled_BD, "time_ids": sizes_B6}, torch.cat([pooled_BD, waves_BD], 1)
