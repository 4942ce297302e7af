"""What the U-Nets of the family have in common; how pixels attend is a part they are given.

Legend: B batch, C channels, H height, W width, D width of vectors or tokens, L tokens, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.condition import Condition
from diffloom.nn import (
    CrossAttention,
    Deep,
    Downsample,
    ResidualBlock,
    ScaleShiftResidualBlock,
    Signal,
    SinusoidalEmbedding,
    TimestepMLP,
    Upsample,
    doubled,
    halved,
    remembered_projections,
    the_time,
    zeroed,
)
from diffloom_unet.trunk import Parts, Trunk

BLOCKS = {"add": ResidualBlock, "scale_shift": ScaleShiftResidualBlock}
"""The residual block for each way of using the embedding of time, class and vector."""


class Options(TypedDict, total=False):
    """What every network of the family may be told; `Network` says what each does and what it is by default."""

    in_channels: int
    out_channels: int
    blocks_per_level: int
    dropout: float
    embedding: Literal["add", "scale_shift"]
    resample: Literal["conv", "residual"]
    downsample_padding: Literal["asymmetric", "symmetric"]
    time_width: int | None
    time_cos_first: bool
    time_frequency_shift: int
    time_scale: float
    classes: int
    vector_width: int
    concat_channels: int


class Network(nn.Module):
    """A U-Net: `network(x_BCHW, t_B, condition)` → (B, out_channels, H, W).

    `channels` are the widths of the levels, each of half the last one's height and width; `attention` makes for each
    what lets its pixels attend, None where they do not, and `middle` the same behind the coarsest level.

    Of the time t, multiplied with `time_scale`, the sines and cosines, `time_width` of them (`None`: as many as the
    first level has channels), become an embedding of 4·`time_width` numbers. Added to it are that of the class, with
    `classes` of them, and that of a vector of `vector_width` numbers. The sum is added in each residual block, or
    scales and shifts its second normalisation, as `embedding` says. Between levels height and width change by
    convolutions, or inside a residual block of its own, as `resample` says. With `token_width`, the parts that attend
    read tokens of that width; with `concat_channels`, a picture of so many channels is stacked on the input.

    Initial weights are PyTorch's, with zeros at the end of every residual branch and of the network, as in
    Dhariwal & Nichol 2021; `diffloom.nn.initial` says why. Class embeddings start normal with deviation 1.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        attention: Sequence[Callable[[int], nn.Module] | None],
        middle: Callable[[int], nn.Module] | None,
        norm_groups: int,
        norm_eps: float,
        in_channels: int = 3,
        out_channels: int = 3,
        blocks_per_level: int = 2,
        dropout: float = 0.0,
        embedding: Literal["add", "scale_shift"] = "add",
        resample: Literal["conv", "residual"] = "conv",
        downsample_padding: Literal["asymmetric", "symmetric"] = "asymmetric",
        time_width: int | None = None,
        time_cos_first: bool = False,
        time_frequency_shift: int = 1,
        time_scale: float = 1.0,
        classes: int = 0,
        vector_width: int = 0,
        token_width: int = 0,
        concat_channels: int = 0,
    ) -> None:
        super().__init__()
        width = channels[0]
        time_width = time_width or width
        emb_width = 4 * time_width
        self.multiple = 2 ** (len(channels) - 1)
        """Height and width are multiples of this."""
        sizes = {
            "class_B": classes,
            "vector_BD": vector_width,
            "tokens_BLD": token_width,
            "concat_BCHW": concat_channels,
        }
        self.slots = {name for name, size in sizes.items() if size}
        """What the condition must fill, no more and no less, but for the mask that tokens may have."""
        self.sinusoids = SinusoidalEmbedding(
            width=time_width, cos_first=time_cos_first, frequency_shift=time_frequency_shift
        )
        self.time_scale = time_scale
        self.time = TimestepMLP(width=time_width, emb_width=emb_width)
        self.classes = nn.Embedding(classes, emb_width) if classes else None
        self.vector = TimestepMLP(width=vector_width, emb_width=emb_width) if vector_width else None
        block = partial(
            BLOCKS[embedding],
            emb_width=emb_width,
            norm_groups=norm_groups,
            norm_eps=norm_eps,
            dropout=dropout,
        )
        self.enter = nn.Conv2d(in_channels + concat_channels, width, 3, padding=1)

        def down(width: int) -> nn.Module:
            if resample == "residual":
                return block(in_channels=width, out_channels=width, resize=halved)
            return Downsample(channels=width, padding=downsample_padding)

        def up(width: int) -> nn.Module:
            if resample == "residual":
                return block(in_channels=width, out_channels=width, resize=doubled)
            return Upsample(channels=width)

        self.trunk = Trunk(
            Parts(
                block=lambda c_in, c_out: block(in_channels=c_in, out_channels=c_out),
                attention=attention,
                middle=middle,
                down=down,
                up=up,
            ),
            channels=channels,
            blocks_per_level=blocks_per_level,
        )
        self.norm = nn.GroupNorm(norm_groups, width, eps=norm_eps)
        self.leave = zeroed(nn.Conv2d, width, out_channels, 3, padding=1)

    def prepare(self, condition: Condition, *, times: Sequence[float] = ()) -> Condition:
        """The condition with what is the same at every step: keys and values of its tokens, for every layer that reads
        them, and what the residual blocks make of the embedding at these times.

        `forward` gives the same with it as without, and at other times too. Weights that change afterwards make it
        stale.
        """
        self._check_slots(condition)
        readers = [part for part in self.modules() if isinstance(part, CrossAttention)]
        of_tokens = (
            {}
            if condition.tokens_BLD is None
            else {reader: reader.remember(condition.tokens_BLD) for reader in readers}
        )
        dtype, count = next(self.enter.parameters()).dtype, len(times)
        repeated = Condition(
            class_B=None if condition.class_B is None else condition.class_B.repeat(count),
            vector_BD=None if condition.vector_BD is None else condition.vector_BD.repeat(count, 1),
        )
        embedded = [len(slot) for slot in (condition.class_B, condition.vector_BD) if slot is not None]
        of_times = remembered_projections(
            self, times, lambda t_X: self._embedded(t_X, repeated, dtype), rows=embedded[0] if embedded else 1
        )
        return replace(condition, memory=of_tokens | of_times) if of_tokens or of_times else condition

    def keeps_float32(self) -> Collection[str]:
        """In half precision too: what the last convolution rounds is rounded in every prediction."""
        return ("leave",)

    @property
    def depths(self) -> int:
        """How often it can be divided (`diffloom.nn.Deep`): at 1 only the last stack is outside, at most all are."""
        return self.trunk.depths

    def forward(
        self, x_BCHW: Tensor, t_B: Tensor, condition: Condition | None = None, *, deep: Deep | None = None
    ) -> Tensor:
        """t_B are table indices, fractions allowed. Raises ValueError for slots or sizes that do not fit."""
        condition = condition or Condition()
        self._check(x_BCHW, condition)
        time = the_time(t_B, condition) if condition.memory else None
        known = condition.memory.get((self, time))
        emb_BE = (
            self._embedded(t_B, condition, x_BCHW.dtype) if known is None else known[0].expand(len(t_B), -1)
        )
        if condition.concat_BCHW is not None:
            x_BCHW = torch.cat([x_BCHW, condition.concat_BCHW], dim=1)
        signal = Signal(emb_BE=emb_BE, condition=condition, time=time)
        x_BCHW = self.trunk(self.enter(x_BCHW), signal, deep)
        h_BCHW = functional.silu(self.norm(x_BCHW), inplace=not torch.is_grad_enabled())
        out_BCHW: Tensor = self.leave(h_BCHW)
        return out_BCHW

    def _embedded(self, t_B: Tensor, condition: Condition, dtype: torch.dtype) -> Tensor:
        """The sum of what time, class and vector are embedded as, activated: every block would."""
        emb_BE: Tensor = self.time(self.sinusoids(t_B * self.time_scale).to(dtype))
        if self.classes is not None:
            emb_BE = emb_BE + self.classes(condition.class_B)
        if self.vector is not None:
            emb_BE = emb_BE + self.vector(condition.vector_BD)
        return functional.silu(emb_BE)

    def _check(self, x_BCHW: Tensor, condition: Condition) -> None:
        self._check_slots(condition)
        if x_BCHW.shape[2] % self.multiple or x_BCHW.shape[3] % self.multiple:
            raise ValueError(
                f"height and width must be multiples of {self.multiple}, not {tuple(x_BCHW.shape[2:])}"
            )

    def _check_slots(self, condition: Condition) -> None:
        given = set(condition.filled())
        if "tokens_BLD" in self.slots:
            given -= {"mask_BL"}
        if given != self.slots:
            raise ValueError(
                f"the condition fills {', '.join(sorted(given)) or 'no slot'}, "
                f"and this network reads {', '.join(sorted(self.slots)) or 'none'}"
            )
