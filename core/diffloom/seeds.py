"""Which noise each sample gets: `seed=` as users write it → one (seed, sample id) for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from diffloom.errors import DiffloomError

Seed = int | tuple[int, int]
"""A seed, or the very sample (seed, i) of it."""

LIMIT = 2**64


@dataclass(frozen=True)
class Keys(Sequence[tuple[int, int]]):
    """(seed, 0), (seed, 1), …: however many, they take no memory."""

    seed: int
    samples: range

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[int, int]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, int] | Sequence[tuple[int, int]]:
        if isinstance(index, slice):
            return Keys(self.seed, self.samples[index])
        return self.seed, self.samples[index]


def sample_keys(seed: Seed | list[Seed], count: int | None) -> Sequence[tuple[int, int]]:
    """The keys of a batch.

    One integer: sample i gets (seed, i). A list has one entry for each sample: an integer s means (s, 0), a pair
    (s, i) redraws sample i of seed s; a pair alone is a list of one. `count` None means as many
    as the list holds, or one.
    Raises DiffloomError for a list of another length, and for numbers outside 0 … 2⁶⁴−1.
    """
    keys: Sequence[tuple[int, int]]
    if isinstance(seed, int):
        keys = Keys(seed, range(1 if count is None else count))
        _require_in_range(*keys[:1], *keys[-1:])
    else:
        keys = tuple(_key(item) for item in (seed if isinstance(seed, list) else [seed]))
        if count is not None and len(keys) != count:
            raise DiffloomError(
                f"{len(keys)} seeds for {count} samples: give one seed for each, or a single integer"
            )
        _require_in_range(*keys)
    if not keys:
        raise DiffloomError("0 samples: ask for at least one")
    return keys


def _require_in_range(*keys: tuple[int, int]) -> None:
    for key in keys:
        if not all(0 <= number < LIMIT for number in key):
            raise DiffloomError(f"seed {key[0]}, sample {key[1]}: both must be between 0 and 2**64 - 1")


def parse_seed(text: str) -> Seed | list[Seed]:
    """`5`, `5:17` (sample 17 of seed 5), or a list with commas. Raises ValueError for anything else."""
    seeds: list[Seed] = []
    for part in text.split(","):
        numbers = part.split(":")
        if len(numbers) > 2 or not all(number.strip().isdecimal() for number in numbers):
            raise DiffloomError(
                f"{text!r} is not a seed: write 5, 5:17 (sample 17 of seed 5), or a list such as 5:17,6:0"
            )
        seeds.append(int(numbers[0]) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1])))
    return seeds[0] if len(seeds) == 1 and isinstance(seeds[0], int) else seeds


def _key(item: Seed) -> tuple[int, int]:
    return (item, 0) if isinstance(item, int) else (int(item[0]), int(item[1]))
