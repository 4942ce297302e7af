"""The module of `clip_text`. Legend: B batch, N rows (chunks of prompts), L tokens, D width."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom_clip.memory import PromptMemory
from diffloom_clip.overflow import overflow
from diffloom_clip.tower import ClipTower, Reading

if TYPE_CHECKING:
    from typing import Self


class ClipTextEncoder(nn.Module):
    """Prompts → tokens and pooled vectors of one text tower, or of several side by side.

    Every prompt makes `chunks` rows of each tower, so that all are of one length; their tokens stand one behind
    another, and the pooled vector is the first row's. Towers that are not trained stay in evaluation mode, and each
    prompt goes through them once: its condition is its own to the last bit, whatever the batch, and whichever was
    encoded before. The last `remembered` prompts are kept.
    """

    def __init__(
        self,
        *,
        towers: Sequence[ClipTower],
        chunks: int = 1,
        truncate: bool = False,
        null_condition: Literal["empty", "zeros"] = "empty",
        trained: bool = False,
        remembered: int = 256,
    ) -> None:
        super().__init__()
        self.towers = nn.ModuleList(towers)
        self.chunks = chunks
        self.truncate = truncate
        self.null_condition = null_condition
        self.trained = trained
        self.memory = PromptMemory(size=remembered)
        self.requires_grad_(trained)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Frozen towers stay in evaluation mode."""
        return super().train(mode and self.trained)

    def encode(self, raw: Sequence[str]) -> Condition:
        """Tokens (B, chunks·L, D) and vectors (B, D). Raises ValueError for a prompt that is too long, or blank."""
        if self.trained:
            return self._read(raw, ClipTower.__call__)
        weights = list(self.parameters())
        with _apart(weights[0].device):
            return Condition.stack(self.memory.recall(raw, weights=weights, encode=self._each))

    def null(self, count: int) -> Condition:
        """The empty prompt's condition, or zeros, `count` times."""
        if self.null_condition == "empty":
            return self.encode([""]).map(lambda slot: slot.expand(count, *slot.shape[1:]))
        towers = self._towers()
        read = [tower.architecture for tower in towers if tower.tokens]
        pooled = [tower.architecture.pooled_width for tower in towers if tower.pooled]
        like = next(self.parameters())
        return Condition(
            tokens_BLD=like.new_zeros(
                count, self.chunks * read[0].context_length, sum(architecture.width for architecture in read)
            )
            if read
            else None,
            vector_BD=like.new_zeros(count, sum(pooled)) if pooled else None,
        )

    def _each(self, prompts: Sequence[str]) -> list[Condition]:
        """The condition of every prompt by itself, in memory of its own, so that it may be forgotten by itself."""
        together = self._read(prompts, _read_once)
        rows = [together.map(methodcaller("narrow", 0, place, 1)) for place in range(len(prompts))]
        return [row.map(Tensor.clone) for row in rows]

    def _read(self, prompts: Sequence[str], read: Callable[[ClipTower, Tensor], Reading]) -> Condition:
        tokens: list[Tensor] = []
        pooled: list[Tensor] = []
        for tower in self._towers():
            reading = read(tower, self._ids(tower, prompts))
            if reading.tokens_NLD is not None:
                tokens.append(reading.tokens_NLD.reshape(len(prompts), -1, reading.tokens_NLD.shape[2]))
            if reading.pooled_NP is not None:
                pooled.append(reading.pooled_NP[:: self.chunks])
        return Condition(
            tokens_BLD=torch.cat(tokens, 2) if tokens else None,
            vector_BD=torch.cat(pooled, 1) if pooled else None,
        )

    def _ids(self, tower: ClipTower, prompts: Sequence[str]) -> Tensor:
        rows: list[tuple[int, ...]] = []
        for prompt in prompts:
            tokens = tower.words.tokens(prompt, chunks=self.chunks)
            if tokens.cut:
                told = overflow(prompt, tokens, chunks=self.chunks)
                if not self.truncate:
                    raise ValueError(told)
                warnings.warn(told, stacklevel=2)
            rows += tokens.rows
        return torch.tensor(rows, device=tower.device)

    def _towers(self) -> list[ClipTower]:
        return cast("list[ClipTower]", list(self.towers))


def _read_once(tower: ClipTower, ids_NL: Tensor) -> Reading:
    """Equal rows, as those of chunks without words are, go through the tower once, each as if alone."""
    distinct_XL, places_N = torch.unique(ids_NL, dim=0, return_inverse=True)
    reading = tower.rows(distinct_XL)
    return Reading(*(None if slot is None else slot[places_N] for slot in reading))


@contextmanager
def _apart(device: torch.device) -> Iterator[None]:
    """Without gradients, and free of the caller's inference mode and mixed precision: what is kept serves all."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
