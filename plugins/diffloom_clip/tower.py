"""One text tower, and what is read off it. Legend: N rows, L tokens, D width, P pooled width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from diffloom.nn import in_shares
from diffloom_clip.alike import Alike
from diffloom_clip.architecture import TextArchitecture
from diffloom_clip.in_place import Blocks, computes_in_place
from diffloom_clip.library import open_clip
from diffloom_clip.words import Words

Layer = Literal["last", "penultimate"]


class Reading(NamedTuple):
    """What was asked of a tower."""

    tokens_NLD: Tensor | None
    """A vector for every position, those behind the end of the text included."""
    pooled_NP: Tensor | None
    """One for the whole row: the last layer's at the end token, normalised and projected (Radford et al. 2021)."""

    @staticmethod
    def stack(parts: Sequence[Reading]) -> Reading:
        """The rows of all parts, one after another."""
        return Reading(
            *(None if slots[0] is None else torch.cat(slots) for slots in zip(*parts, strict=True))
        )


class ClipTower(nn.Module):
    """open_clip's text transformer, without the picture half; `words` makes its rows of token ids.

    `architecture` is the published one; of its blocks the first `depth` are built, and its projection only where
    `pooled` asks for what it makes. Checkpoints hold the rest too, and a bridge may leave that unread. `tokens` are
    those behind the last or the last but one block, behind the final normalisation or before it.
    """

    def __init__(
        self,
        *,
        architecture: TextArchitecture,
        words: Words,
        depth: int | None = None,
        tokens: bool = True,
        pooled: bool = False,
        layer: Layer = "last",
        final_norm: bool = True,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.words = words
        self.tokens = tokens
        self.pooled = pooled
        self.final_norm = final_norm
        self.depth = depth or architecture.layers
        self.block = self.depth - (1 if layer == "last" else 2)
        built = architecture.model_copy(
            update={"layers": self.depth, "embed_dim": architecture.embed_dim if pooled else None}
        )
        self.text = _text_transformer(built)
        self._alike = Alike()

    def forward(self, ids_NL: Tensor) -> Reading:
        """Open_clip computes it where gradients are wanted, where somebody looks into it and where its blocks are
        unusual; else `Blocks` does, which is the same to rounding."""
        if computes_in_place(self.text):
            return self._projected(self._in_place(ids_NL))
        out: dict[str, Any] = self.text.forward_intermediates(  # type: ignore[operator]
            ids_NL,
            indices=[self.block],
            stop_early=not self.pooled,
            normalize_intermediates=self.final_norm,
            intermediates_only=not self.pooled,
            output_fmt="NLC",
        )
        tokens_NLD = out["text_intermediates"][0] if self.tokens else None
        return Reading(tokens_NLD, out["text_features"] if self.pooled else None)

    def rows(self, ids_NL: Tensor) -> Reading:
        """Each row as it is read alone, to the last bit; several at once where that changes none (`Alike`), and on a
        CPU by each of torch's threads its own."""
        if self._forward_hooks or self._forward_pre_hooks or not computes_in_place(self.text):
            return Reading.stack([self(row_1L) for row_1L in torch.split(ids_NL, 1)])
        apart, together = self._alike.groups(self.text, ids_NL)

        def read(groups: Iterable[Tensor]) -> list[Reading]:
            return [self._in_place(group_NL) for group_NL in groups]

        parts = in_shares(lambda some: read(chain.from_iterable(some)), apart)
        return self._projected(Reading.stack([*chain.from_iterable(parts), *read(together)]))

    def _in_place(self, ids_NL: Tensor) -> Reading:
        """What is read, but for the projection of pooled vectors."""
        text = cast("Any", self.text)
        x_NLD = text.token_embedding(ids_NL) + text.positional_embedding
        blocks = list(text.transformer.resblocks)
        first, rest = blocks[: self.block + 1], blocks[self.block + 1 :]
        computed = Blocks(blocks[0], like_NLD=x_NLD, causal=text.attn_mask is not None)
        tokens_NLD: Tensor | None = None
        for block in first:
            computed.advance(x_NLD, block)
        if self.tokens:
            tokens_NLD = text.ln_final(x_NLD) if self.final_norm else x_NLD.clone()
        if not self.pooled:
            return Reading(tokens_NLD, None)
        for block in rest:
            computed.advance(x_NLD, block)
        pooled_ND = open_clip().transformer.text_global_pool(
            text.ln_final(x_NLD), ids_NL, pool_type=text.pool_type, eos_token_id=text.eos_id
        )
        return Reading(tokens_NLD, pooled_ND)

    def _projected(self, reading: Reading) -> Reading:
        """A product with the vectors of several rows may sum in another order than with one, and by one thread in
        another than by all: so each row has its own, by all."""
        if reading.pooled_NP is None:
            return reading
        by = cast("Any", self.text).text_projection
        rows = [_projected(by, pooled_1D) for pooled_1D in torch.split(reading.pooled_NP, 1)]
        return Reading(reading.tokens_NLD, torch.cat(rows))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device


def _projected(projection: nn.Linear | Tensor | None, pooled_ND: Tensor) -> Tensor:
    """By a layer, by a table (D, P), or not at all: as open_clip has them."""
    if projection is None:
        return pooled_ND
    projected_NP: Tensor = (
        projection(pooled_ND) if isinstance(projection, nn.Linear) else pooled_ND @ projection
    )
    return projected_NP


def _text_transformer(architecture: TextArchitecture) -> nn.Module:
    text: nn.Module = open_clip().model._build_text_tower(
        architecture.embed_dim, architecture.text_cfg, quick_gelu=architecture.quick_gelu
    )
    if text.attn_mask is not None:
        # A table and no weight: it is there when the weights are still to come, on the meta device.
        length = len(text.positional_embedding)  # type: ignore[arg-type]
        mask_LL = torch.full((length, length), float("-inf"), device="cpu").triu(1)
        text.register_buffer("attn_mask", mask_LL, persistent=False)
    return text
