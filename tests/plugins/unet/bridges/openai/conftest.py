"""guided-diffusion's U-Net written out, by its names and formulas (Dhariwal & Nichol 2021).

Legend: B batch, C channels, H height, W width, L pixels, N heads, D head width, K frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    def __init__(self, c_in: int, c_out: int, emb: int, scale_shift: bool, resize: Any = None) -> None:
        super().__init__()
        self.scale_shift, self.resize = scale_shift, resize
        self.in_layers = nn.Sequential(
            nn.GroupNorm(32, c_in), nn.SiLU(), nn.Conv2d(c_in, c_out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb, (1 + scale_shift) * c_out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, c_out), nn.SiLU(), nn.Dropout(0), nn.Conv2d(c_out, c_out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)

    def forward(self, x_BCHW: Tensor, emb_BE: Tensor) -> Tensor:
        h_BCHW = self.in_layers[:2](x_BCHW)
        if self.resize:
            h_BCHW, x_BCHW = self.resize(h_BCHW), self.resize(x_BCHW)
        h_BCHW, emb_BC11 = self.in_layers[2](h_BCHW), self.emb_layers(emb_BE)[:, :, None, None]
        if self.scale_shift:
            scale_BC11, shift_BC11 = emb_BC11.chunk(2, dim=1)
            h_BCHW = self.out_layers[1:](self.out_layers[0](h_BCHW) * (1 + scale_BC11) + shift_BC11)
        else:
            h_BCHW = self.out_layers(h_BCHW + emb_BC11)
        return self.skip_connection(x_BCHW) + h_BCHW


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int, legacy: bool) -> None:
        super().__init__()
        self.heads, self.legacy = heads, legacy
        self.norm = nn.GroupNorm(32, channels)
        self.qkv, self.proj_out = nn.Conv1d(channels, 3 * channels, 1), nn.Conv1d(channels, channels, 1)

    def forward(self, x_BCHW: Tensor, emb_BE: Tensor) -> Tensor:
        rows_BXL = self.qkv(self.norm(x_BCHW.flatten(2)))
        if self.legacy:  # heads are split first, and each head's rows are its queries, keys and values
            q_BNDL, k_BNDL, v_BNDL = rows_BXL.unflatten(1, (self.heads, -1)).chunk(3, dim=2)
        else:
            q_BNDL, k_BNDL, v_BNDL = (
                part.unflatten(1, (self.heads, -1)) for part in rows_BXL.chunk(3, dim=1)
            )
        scale = 1 / math.sqrt(math.sqrt(q_BNDL.shape[2]))
        weight_BNLM = torch.einsum("bndl,bndm->bnlm", q_BNDL * scale, k_BNDL * scale).softmax(dim=-1)
        mixed_BNDL = torch.einsum("bnlm,bndm->bndl", weight_BNLM, v_BNDL)
        return x_BCHW + self.proj_out(mixed_BNDL.flatten(1, 2)).unflatten(2, x_BCHW.shape[2:])


class Down(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x_BCHW: Tensor, emb_BE: Tensor) -> Tensor:
        return self.op(x_BCHW)


class Up(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor, emb_BE: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x_BCHW, scale_factor=2))


class Guided(nn.Module):
    """The network by its flags; `attention` holds levels, and `heads` counts or `head_channels` measures."""

    def __init__(
        self,
        *,
        num_channels: int,
        mult: tuple[float, ...],
        attention: tuple[int, ...],
        num_res_blocks: int = 2,
        heads: int = 0,
        head_channels: int = 0,
        new_order: bool = False,
        updown: bool = True,
        scale_shift: bool = True,
        classes: int = 0,
        channels: tuple[int, int] = (3, 6),
    ) -> None:
        super().__init__()
        emb = 4 * num_channels
        self.num_channels = num_channels
        self.time_embed = nn.Sequential(nn.Linear(num_channels, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.label_emb = nn.Embedding(classes, emb) if classes else None

        def block(c_in: int, c_out: int, attends: bool) -> list[nn.Module]:
            block = Residual(c_in, c_out, emb, scale_shift)
            return (
                [block, Attention(c_out, heads or c_out // head_channels, not new_order)]
                if attends
                else [block]
            )

        def resample(
            width: int, plain: Callable[[int], nn.Module], resize: Callable[[Tensor], Tensor]
        ) -> nn.Module:
            return Residual(width, width, emb, scale_shift, resize) if updown else plain(width)

        widths = [int(factor * num_channels) for factor in mult]
        width, skips = widths[0], [widths[0]]
        stacks: list[list[nn.Module]] = []
        for level, out in enumerate(widths):
            for _ in range(num_res_blocks):
                stacks.append(block(width, out, level in attention))
                skips.append(width := out)
            if level < len(widths) - 1:
                stacks.append([resample(width, Down, lambda x: functional.avg_pool2d(x, 2))])
                skips.append(width)
        entrance = nn.ModuleList([nn.Conv2d(channels[0], widths[0], 3, padding=1)])
        self.input_blocks = nn.ModuleList([entrance, *map(nn.ModuleList, stacks)])
        self.middle_block = nn.ModuleList([*block(width, width, True), *block(width, width, False)])
        stacks = []
        for level, out in reversed(list(enumerate(widths))):
            for index in range(num_res_blocks + 1):
                stacks.append(block(width + skips.pop(), width := out, level in attention))
                if level and index == num_res_blocks:
                    double = resample(width, Up, lambda x: functional.interpolate(x, scale_factor=2))
                    stacks[-1].append(double)
        self.output_blocks = nn.ModuleList(map(nn.ModuleList, stacks))
        self.out = nn.Sequential(
            nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, channels[1], 3, padding=1)
        )

    def forward(self, x_BCHW: Tensor, t_B: Tensor, class_B: Tensor | None) -> Tensor:
        half = self.num_channels // 2
        frequency_K = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
        phase_BK = t_B.float()[:, None] * frequency_K
        emb_BE = self.time_embed(torch.cat([phase_BK.cos(), phase_BK.sin()], dim=1).to(x_BCHW.dtype))
        if self.label_emb is not None:
            emb_BE = emb_BE + self.label_emb(class_B)
        skips = [x_BCHW := self.input_blocks[0][0](x_BCHW)]
        for stack in self.input_blocks[1:]:
            for layer in stack:
                x_BCHW = layer(x_BCHW, emb_BE)
            skips.append(x_BCHW)
        for layer in self.middle_block:
            x_BCHW = layer(x_BCHW, emb_BE)
        for stack in self.output_blocks:
            x_BCHW = torch.cat([x_BCHW, skips.pop()], dim=1)
            for layer in stack:
                x_BCHW = layer(x_BCHW, emb_BE)
        return self.out(x_BCHW)


@pytest.fixture(scope="session")
def guided() -> type[Guided]:
    """Their network."""
    return Guided
