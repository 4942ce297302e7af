"""Attention alone, by every kernel, beside diffusers' processor: the figures that the rules of `auto` are made of.

Legend: B batch, N heads, L queries, M keys, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case, Precision
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn

from diffloom.errors import DiffloomError
from diffloom.nn import AttentionKernel
from diffloom_attention import SDPA, Auto, Math, XFormers

TEXT = 77
"""Tokens of a prompt."""
SMALL = (
    (2, 8, 1024, 1024, 8),
    (2, 8, 1024, TEXT, 8),
    (2, 8, 256, 256, 16),
    (2, 8, 256, TEXT, 16),
    (2, 8, 64, TEXT, 32),
    (2, 8, 1024, TEXT, 40),
    (2, 8, 1024, TEXT, 64),
    (2, 8, 1024, 1024, 40),
    (16, 1, 256, 256, 256),
)
"""B, N, L, M and D of what a CPU draws with: a small latent U-Net, Stable Diffusion's widths, CIFAR's U-Net."""
LARGE = (
    (2, 8, 4096, 4096, 40),
    (2, 8, 4096, TEXT, 40),
    (2, 8, 1024, 1024, 80),
    (2, 8, 256, 256, 160),
    (2, 10, 4096, 4096, 64),
    (2, 20, 1024, 1024, 64),
    (2, 20, 1024, TEXT, 64),
    (16, 1, 256, 256, 256),
    (2, 8, 1024, 1024, 8),
)
"""The same of Stable Diffusion 1.5 and XL, and of the small ones, for GPUs."""
MILLISECONDS = 20
"""What one turn of an arm should take, by the peer."""


def cases(device: torch.device) -> Iterator[Case]:
    """Each shape: on a GPU in bfloat16 and in float32; on a CPU with all threads, and with one, as where each
    has rows of its own."""
    if device.type == "cuda":
        for shape in LARGE:
            for dtype in (torch.bfloat16, torch.float32):
                yield case(shape, dtype, device)
        return
    threads = torch.get_num_threads()
    try:
        for shape in SMALL:
            for count in dict.fromkeys((threads, 1)):
                torch.set_num_threads(count)  # while the case is measured
                here = case(shape, torch.float32, device)
                yield here if count > 1 else replace(here, title=f"{here.title}, one thread")
    finally:
        torch.set_num_threads(threads)


def case(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Case:
    """From tokens (B, L, N·D) to tokens: the heads divided, mixed and side by side again, without any projection."""
    batch, heads, queries, keys, width = shape
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(0))
    x_BLC = draw(batch, queries, heads * width).to(device, dtype)
    y_BMC = x_BLC if keys == queries else draw(batch, keys, heads * width).to(device, dtype)
    bare = _without_projections(heads, width)

    @torch.inference_mode()
    def theirs() -> Tensor:
        out: Tensor = bare(x_BLC, encoder_hidden_states=None if y_BMC is x_BLC else y_BMC)
        return out

    @torch.inference_mode()
    def mine(kernel: AttentionKernel) -> Tensor:
        q_BNLD, k_BNMD = (tokens.unflatten(2, (heads, width)).transpose(1, 2) for tokens in (x_BLC, y_BMC))
        return kernel(q_BNLD, k_BNMD, k_BNMD).transpose(1, 2).flatten(2)

    work = 4 * batch * heads * queries * keys * width / 1e9
    word: Precision = "bf16" if dtype == torch.bfloat16 else "fp32"
    return Case(
        title=f"attention of {batch} pictures, {heads} heads of {width}, {queries} queries, {keys} keys",
        peer=Arm(f"diffusers {word}", theirs, precision=word),
        ours=[
            Arm(f"{name} {word}", partial(mine, kernel), precision=word)
            for name, kernel in _kernels().items()
        ],
        gflop=work,
        calls=max(1, round(MILLISECONDS / 1000 * 60 / work)),  # at some 60 GFLOP/s
    )


@cache
def _kernels() -> dict[str, AttentionKernel]:
    """Those that can be built here."""
    found = {}
    for component in (Auto(), SDPA(), Math(), XFormers()):
        try:
            found[component.name] = component.build()
        except DiffloomError as error:
            print(error)
    return found


def _without_projections(heads: int, width: int) -> Any:
    """diffusers' attention, all of whose linear layers give what they are given."""
    attention = Attention(heads * width, heads=heads, dim_head=width, processor=AttnProcessor2_0())
    for name in ("to_q", "to_k", "to_v"):
        setattr(attention, name, nn.Identity())
    attention.to_out = nn.ModuleList([nn.Identity(), nn.Identity()])
    return attention.eval()
