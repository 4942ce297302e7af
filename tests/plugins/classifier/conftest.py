"""guided-diffusion's classifier written out by its names and formulas, and a walk's surroundings for guidance.

Legend: B batch, C channels, H height, W width, L pixels, N heads, D head width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.condition import Condition
from diffloom.kinds import Guide
from diffloom.process import Aims, Denoised, Level, LinearSchedule, Model, Steered, under

Denoise = Callable[[Tensor, Level, Condition], Denoised]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Original:
    """`EncoderUNetModel`, in the words of its own flags; a state dict is given with every call."""

    image_size: int
    in_channels: int
    out_channels: int
    model_channels: int
    channel_mult: tuple[float, ...]
    num_res_blocks: int
    attention_ds: tuple[int, ...]
    num_head_channels: int
    use_scale_shift_norm: bool = True
    resblock_updown: bool = True
    pool: str = "attention"

    @property
    def blocks(self) -> Iterator[tuple[str, str, int, int]]:
        """(name, sort, channels in, channels out) of everything behind the first convolution, in order."""
        width, ds, number = int(self.channel_mult[0] * self.model_channels), 1, 0
        for level, mult in enumerate(self.channel_mult):
            for _ in range(self.num_res_blocks):
                number, out = number + 1, int(mult * self.model_channels)
                yield f"input_blocks.{number}.0", "residual", width, out
                width = out
                if ds in self.attention_ds:
                    yield f"input_blocks.{number}.1", "attention", width, width
            if level < len(self.channel_mult) - 1:
                number, ds = number + 1, 2 * ds
                sort = "residual down" if self.resblock_updown else "convolution down"
                yield f"input_blocks.{number}.0", sort, width, width
        for slot, sort in enumerate(("residual", "attention", "residual")):
            yield f"middle_block.{slot}", sort, width, width

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape, by its name."""
        emb, first = 4 * self.model_channels, int(self.channel_mult[0] * self.model_channels)
        weights: dict[str, tuple[int, ...]] = {
            "time_embed.0": (emb, self.model_channels),
            "time_embed.2": (emb, emb),
            "input_blocks.0.0": (first, self.in_channels, 3, 3),
        }
        widths = {"input_blocks.0": first}
        for name, sort, c_in, c_out in self.blocks:
            widths[name.rpartition(".")[0]] = c_out
            if sort.startswith("residual"):
                weights |= {
                    f"{name}.in_layers.0": (c_in,),
                    f"{name}.in_layers.2": (c_out, c_in, 3, 3),
                    f"{name}.emb_layers.1": ((1 + self.use_scale_shift_norm) * c_out, emb),
                    f"{name}.out_layers.0": (c_out,),
                    f"{name}.out_layers.3": (c_out, c_out, 3, 3),
                }
                if c_in != c_out:
                    weights[f"{name}.skip_connection"] = (c_out, c_in, 1, 1)
            elif sort == "attention":
                weights |= {
                    f"{name}.norm": (c_in,),
                    f"{name}.qkv": (3 * c_in, c_in, 1),
                    f"{name}.proj_out": (c_in, c_in, 1),
                }
            else:
                weights[f"{name}.op"] = (c_in, c_in, 3, 3)
        c, k, features = widths["middle_block"], self.out_channels, sum(widths.values())
        side = self.image_size // 2 ** (len(self.channel_mult) - 1)
        weights |= {
            "adaptive": {"out.0": (c,), "out.3": (k, c, 1, 1)},
            "attention": {"out.0": (c,), "out.2.qkv_proj": (3 * c, c, 1), "out.2.c_proj": (k, c, 1)},
            "spatial": {"out.0": (2048, features), "out.2": (k, 2048)},
            "spatial_v2": {"out.0": (2048, features), "out.1": (2048,), "out.3": (k, 2048)},
        }[self.pool]
        shapes = {f"{name}.weight": shape for name, shape in weights.items()}
        shapes |= {f"{name}.bias": shape[:1] for name, shape in weights.items()}
        if self.pool == "attention":
            shapes["out.2.positional_embedding"] = (c, side**2 + 1)
        return shapes

    def state(self, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> State:
        """Random weights, nowhere zero."""
        generator = torch.Generator().manual_seed(seed)
        return {
            name: (torch.randn(shape, generator=generator, dtype=torch.float64) / math.prod(shape[1:]) ** 0.5)
            .add(1.0 if len(shape) == 1 and name.endswith("weight") else 0.0)
            .to(dtype)
            for name, shape in self.shapes.items()
        }

    def logits(self, state: State, x_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """(B, K)."""
        half = self.model_channels // 2
        frequency = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
        phase = t_B.float()[:, None] * frequency
        emb = torch.cat([phase.cos(), phase.sin()], 1).to(x_BCHW.dtype)
        emb = _linear(state, "time_embed.2", functional.silu(_linear(state, "time_embed.0", emb)))
        h = _conv(state, "input_blocks.0.0", x_BCHW)
        means = {"input_blocks.0": h.mean((2, 3))}
        for name, sort, *_ in self.blocks:
            if sort == "attention":
                h = self._attention(state, name, h)
            elif sort == "convolution down":
                h = _conv(state, f"{name}.op", h, stride=2)
            else:
                h = self._residual(state, name, h, emb, down=sort == "residual down")
            means[name.rpartition(".")[0]] = h.mean((2, 3))
        return self._pooled(state, h, torch.cat(list(means.values()), 1))

    def _residual(self, state: State, name: str, x: Tensor, emb: Tensor, *, down: bool) -> Tensor:
        h = functional.silu(_norm(state, f"{name}.in_layers.0", x))
        if down:
            h, x = (
                (z[..., ::2, ::2] + z[..., 1::2, ::2] + z[..., ::2, 1::2] + z[..., 1::2, 1::2]) / 4
                for z in (h, x)
            )
        h = _conv(state, f"{name}.in_layers.2", h)
        emb = _linear(state, f"{name}.emb_layers.1", functional.silu(emb))[:, :, None, None]
        if self.use_scale_shift_norm:
            scale, shift = emb.chunk(2, 1)
            h = _norm(state, f"{name}.out_layers.0", h) * (1 + scale) + shift
        else:
            h = _norm(state, f"{name}.out_layers.0", h + emb)
        h = _conv(state, f"{name}.out_layers.3", functional.silu(h))
        skip = f"{name}.skip_connection"
        return h + (_conv(state, skip, x) if f"{skip}.weight" in state else x)

    def _attention(self, state: State, name: str, x: Tensor) -> Tensor:
        """The order of `QKVAttentionLegacy`: queries, keys and values of a head together."""
        tokens = _norm(state, f"{name}.norm", x).flatten(2)
        qkv = functional.conv1d(tokens, state[f"{name}.qkv.weight"], state[f"{name}.qkv.bias"])
        rows = qkv.unflatten(1, (-1, 3, self.num_head_channels))
        seen = _attended(rows[:, :, 0], rows[:, :, 1], rows[:, :, 2])
        out = functional.conv1d(seen, state[f"{name}.proj_out.weight"], state[f"{name}.proj_out.bias"])
        return x + out.view_as(x)

    def _pooled(self, state: State, h: Tensor, means: Tensor) -> Tensor:
        if self.pool == "spatial":
            return _linear(state, "out.2", _linear(state, "out.0", means).relu())
        if self.pool == "spatial_v2":
            hidden = functional.silu(_norm(state, "out.1", _linear(state, "out.0", means)))
            return _linear(state, "out.3", hidden)
        h = functional.silu(_norm(state, "out.0", h))
        if self.pool == "adaptive":
            return _conv(state, "out.3", h.mean((2, 3), keepdim=True))[:, :, 0, 0]
        tokens = h.flatten(2)
        tokens = torch.cat([tokens.mean(2, keepdim=True), tokens], 2) + state["out.2.positional_embedding"]
        qkv = functional.conv1d(tokens, state["out.2.qkv_proj.weight"], state["out.2.qkv_proj.bias"])
        q, k, v = (part.unflatten(1, (-1, self.num_head_channels)) for part in qkv.chunk(3, 1))
        seen = _attended(q, k, v)
        return functional.conv1d(seen, state["out.2.c_proj.weight"], state["out.2.c_proj.bias"])[:, :, 0]


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    return functional.group_norm(x, 32, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-5)


def _linear(state: State, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def _conv(state: State, name: str, x: Tensor, *, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    return functional.conv2d(x, weight, state[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2)


def _attended(q_BNDL: Tensor, k_BNDL: Tensor, v_BNDL: Tensor) -> Tensor:
    """softmax(qᵀ·k / √D) over the keys, applied to the values: (B, N·D, L)."""
    weight = torch.einsum("bndl,bndm->bnlm", q_BNDL, k_BNDL) / q_BNDL.shape[2] ** 0.5
    return torch.einsum("bnlm,bndm->bndl", weight.softmax(3), v_BNDL).flatten(1, 2)


@pytest.fixture
def original() -> type[Original]:
    """`original(image_size=..., ...)`: see `Original`."""
    return Original


@pytest.fixture
def steered() -> Callable[[Guide, Denoise, Condition, Condition], Steered]:
    """`steered(guide, denoise, condition, null)`: the guided denoiser of one walk."""

    def steer(guide: Guide, denoise: Denoise, condition: Condition, null: Condition) -> Steered:
        aims = Aims(condition=condition, null=null)
        model = Model(
            under=under(denoise),
            backbone=nn.Identity(),
            schedule=LinearSchedule().build(),
            space=nn.Identity(),
            space_shape=(2, 4, 4),
            conditioners={},
        )
        return Steered(aims, model, guide(aims, model))

    return steer
