"""Keyed random draws: a number is a function of (seed, sample id, step, purpose) and of nothing else.

So image 17 of seed 5 is the same alone, in a batch of 64, on a GPU, or after a resume. The generator is
Philox 4x64 (Salmon et al. 2011), counter-based: seed and purpose make its key, sample id and step its
counter. Draws are made on the CPU and moved, since elementary functions differ between devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, cast

import numpy as np
import torch
from numpy.random.bit_generator import ISeedSequence
from torch import Tensor

WORD = 2**64
"""Keys and counters are made of 64-bit words: seeds and ids run from 0 to WORD − 1."""


@lru_cache(maxsize=256)
def _word(purpose: str) -> int:
    """The purpose as one key word."""
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


class _Key(ISeedSequence):
    """The key by itself, in the place of a sequence that would make one.

    Given by the argument `key` it is used all the same, but numpy first asks the system for entropy, which takes longer
    than all the rest.
    """

    def __init__(self, *words: int) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """As many words as Philox 4x64 asks for, two."""
        assert n_words == len(self._words)
        return np.array(self._words, dtype=dtype)


def keyed_generator(seed: int, sample: int, step: int, purpose: str) -> np.random.Generator:
    """numpy's generator standing at (seed, sample, step, purpose). All three numbers are in [0, 2⁶⁴)."""
    counter = np.array([0, step, sample, 0], dtype=np.uint64)  # word 0 counts the draws themselves
    key = cast(np.random.SeedSequence, _Key(seed, _word(purpose)))  # numpy's types do not know its interface
    return np.random.Generator(np.random.Philox(key, counter=counter))


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, one row for each key (seed, sample id), all at one step."""

    keys: tuple[tuple[int, int], ...]
    step: int = 0

    @classmethod
    def of(cls, seed: int, samples: Sequence[int], step: int = 0) -> Draws:
        """Rows of one seed with the given sample ids."""
        return cls(tuple((seed, sample) for sample in samples), step)

    def at(self, step: int) -> Draws:
        """The same rows at another step."""
        return Draws(self.keys, step)

    def generators(self, purpose: str) -> Iterator[np.random.Generator]:
        """One generator for each row."""
        return (keyed_generator(seed, sample, self.step, purpose) for seed, sample in self.keys)

    def normal(
        self,
        purpose: str,
        shape: Sequence[int],
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        pinned: bool = False,
    ) -> Tensor:
        """Standard normal noise, (B, *shape). float64 draws are other numbers than float32 ones.

        `pinned` is for the CPU: in memory that a GPU can copy from by itself. Noise for a GPU is drawn in such memory
        too, so that nobody waits for its copy.
        """
        kind = torch.float64 if dtype == torch.float64 else torch.float32
        is_fetched = torch.device(device).type == "cuda"
        out = torch.empty((len(self.keys), *shape), dtype=kind, device="cpu", pin_memory=pinned or is_fetched)
        array = out.numpy()
        for row, generator in zip(array, self.generators(purpose), strict=True):
            generator.standard_normal(dtype=array.dtype, out=row)
        return out.to(device, non_blocking=is_fetched).to(dtype)  # what is cast here is pinned no more

    def uniform(self, purpose: str) -> Tensor:
        """One number in [0, 1) for each row, (B,) float64 on the CPU."""
        return torch.tensor([g.random() for g in self.generators(purpose)], dtype=torch.float64)
