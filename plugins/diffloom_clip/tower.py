"""One text tower, and what is read off it. Legend: N rows, L tokens, D width, P pooled width."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from diffloom_clip.architecture import TextArchitecture
from diffloom_clip.library import open_clip
from diffloom_clip.words import Words

Layer = Literal["last", "penultimate"]


class Reading(NamedTuple):
    """What was asked of a tower."""

    tokens_NLD: Tensor | None
    """A vector for every position, those behind the end of the text included."""
    pooled_NP: Tensor | None
    """One for the whole row: the last layer's at the end token, normalised and projected (Radford et al. 2021)."""


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

    def forward(self, ids_NL: Tensor) -> Reading:
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

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device


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
