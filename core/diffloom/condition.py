"""What a backbone reads beside x_t and t. Legend: B batch, D width, L tokens, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """The encoded conditions of a batch. Every slot may be empty; those filled have one row for each sample."""

    class_B: Tensor | None = None
    """Class ids, int64; the null class is one of them."""
    vector_BD: Tensor | None = None
    """Added to the time embedding after a projection."""
    tokens_BLD: Tensor | None = None
    """Attended to."""
    mask_BL: Tensor | None = None
    """True where a token is real; empty means all are."""
    concat_BCHW: Tensor | None = None
    """Stacked on the network's input channels."""
    memory: Mapping[Any, tuple[Tensor, ...]] = field(default_factory=dict, compare=False, repr=False)
    """What a backbone's `prepare()` computed of this condition alone, by the layer that reads it. No slot: whatever
    changes the condition leaves it behind, so that it can never be another condition's.
    """
    time: float | None = field(default=None, compare=False, repr=False)
    """The time of the call that this is given to, all of its t_B, where whoever calls knows it on the host: so that
    nobody waits for a device to read it. No slot either.
    """

    def map(self, function: Callable[[Tensor], Tensor]) -> Condition:
        """`function` applied to every filled slot."""
        return _of({name: function(value) for name, value in self.filled().items()})

    def filled(self) -> dict[str, Tensor]:
        """The filled slots by name."""
        return {name: value for name in SLOTS if (value := getattr(self, name)) is not None}

    def at(self, time: float) -> Condition:
        """The same, its memory too, for a call at this time. Made for every call, so that it need not be by `replace`,
        which takes four times as long.
        """
        told = object.__new__(Condition)
        vars(told).update(vars(self), time=time)
        return told

    @property
    def rows(self) -> int | None:
        """How many samples it is of; None where every slot is empty, so that it is of as many as are asked for."""
        return next((len(value) for value in self.filled().values()), None)

    def divided(self, parts: int) -> list[Condition]:
        """Its rows in so many consecutive parts, as `Tensor.tensor_split` divides them."""
        slots = {name: value.tensor_split(parts) for name, value in self.filled().items()}
        return [_of({name: some[part] for name, some in slots.items()}) for part in range(parts)]

    def where(self, keep_B: Tensor, other: Condition) -> Condition:
        """This condition in the rows where keep_B is true, `other`'s elsewhere. Both fill the same slots."""
        mine, theirs = self.filled(), other.filled()
        assert mine.keys() == theirs.keys(), "the null condition fills other slots than the condition"
        return _of(
            {
                name: torch.where(keep_B.view(-1, *[1] * (value.dim() - 1)), value, theirs[name])
                for name, value in mine.items()
            }
        )

    @staticmethod
    def stack(parts: Sequence[Condition]) -> Condition:
        """The rows of all parts, one after another: one batch for one network call."""
        names = parts[0].filled()
        return _of({name: torch.cat([part.filled()[name] for part in parts]) for name in names})

    @staticmethod
    def join(parts: Sequence[Condition]) -> Condition:
        """Several conditioners' slots side by side: vectors, tokens and channels are concatenated."""
        joined = Condition()
        for part in parts:
            mine, theirs = joined.filled(), part.filled()
            assert not ("class_B" in mine and "class_B" in theirs), "two conditioners gave class ids"
            axis = {"vector_BD": 1, "tokens_BLD": 1, "mask_BL": 1, "concat_BCHW": 1}
            mine, theirs = _with_mask(mine, theirs), _with_mask(theirs, mine)
            joined = _of(
                {
                    name: torch.cat([mine[name], theirs[name]], axis[name])
                    if name in mine and name in theirs
                    else (mine | theirs)[name]
                    for name in mine.keys() | theirs.keys()
                }
            )
        return joined


SLOTS = tuple(item.name for item in fields(Condition) if item.name not in {"memory", "time"})
"""Their names."""


def _of(slots: Mapping[str, Any]) -> Condition:
    """The condition with these slots."""
    return Condition(**slots)


def _with_mask(slots: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    """An all-true mask beside tokens that have none, where the other part's tokens have one."""
    if "tokens_BLD" in slots and "mask_BL" not in slots and "mask_BL" in other:
        tokens = slots["tokens_BLD"]
        return {**slots, "mask_BL": torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)}
    return slots
