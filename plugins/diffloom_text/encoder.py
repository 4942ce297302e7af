"""The module of the text conditioner. Legend: B batch, L tokens, D width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom_text.tokenizer import MISSING, Tokenizer
from diffloom_text.transformer import TextTransformer


class TextEncoder(nn.Module):
    """Prompts → tokens, filled up to `length`; the null condition is the empty prompt.

    With `masked`, what was filled up is attended to by nobody; without, it is attended to as any other token. Raises
    ValueError for prompts where there is no tokenizer.
    """

    def __init__(
        self, *, transformer: TextTransformer, tokenizer: Tokenizer | None, length: int, masked: bool
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.length = length
        self.masked = masked

    def encode(self, raw: Sequence[Any]) -> Condition:
        """(B, L, D) of prompts. Raises ValueError for a prompt that is not text, empty, or too long.

        Where nothing is trained, a prompt that stands there several times is encoded once.
        """
        tokenizer = self._known_tokenizer()
        rows = [tuple(tokenizer.ids(tokenizer.check(prompt, length=self.length))) for prompt in raw]
        if torch.is_grad_enabled():
            return self._encode(rows)
        places = {row: place for place, row in enumerate(dict.fromkeys(rows))}
        chosen = [places[row] for row in rows]
        return self._encode(list(places)).map(lambda slot: slot[chosen])

    def null(self, count: int) -> Condition:
        """The empty prompt, `count` times."""
        one = self._encode([self._known_tokenizer().ids("")])
        return one.map(lambda slot: slot.expand(count, *slot.shape[1:]))

    def _encode(self, rows: Sequence[Sequence[int]]) -> Condition:
        padding = self._known_tokenizer().padding
        device = self.transformer.entries.weight.device
        filled = [[*row, *[padding] * (self.length - len(row))] for row in rows]
        ids_BL = torch.tensor(filled, dtype=torch.int64, device=device)
        mask_BL: Tensor | None = None
        if self.masked:
            real = [[True] * len(row) + [False] * (self.length - len(row)) for row in rows]
            mask_BL = torch.tensor(real, device=device)
        return Condition(tokens_BLD=self.transformer(ids_BL, mask_BL), mask_BL=mask_BL)

    def _known_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise ValueError(MISSING)
        return self.tokenizer
