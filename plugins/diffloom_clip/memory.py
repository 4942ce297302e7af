"""What frozen towers made of prompts, kept until it is too much or the weights are others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor

from diffloom.condition import Condition


class PromptMemory:
    """The conditions of the prompts that were asked for last, at most `size` of them."""

    def __init__(self, *, size: int) -> None:
        self.size = size
        self._kept: OrderedDict[str, Condition] = OrderedDict()
        self._weights: list[tuple[Tensor, int]] = []

    def recall(
        self,
        prompts: Sequence[str],
        *,
        weights: Sequence[Tensor],
        encode: Callable[[Sequence[str]], Sequence[Condition]],
    ) -> list[Condition]:
        """The prompts' conditions, by `encode` where they are not kept, or were kept of other weights."""
        if not self._are_of(weights):
            self._kept.clear()
            # Aliases: while they live no other tensor can come to lie at the same place, and whatever is written
            # into the weights counts their version up.
            self._weights = [(tensor.detach(), tensor._version) for tensor in weights]
        asked = dict.fromkeys(prompts)
        new = [prompt for prompt in asked if prompt not in self._kept]
        made = dict(zip(new, encode(new), strict=True)) if new else {}
        found: dict[str, Condition] = {}
        for prompt in asked:
            found[prompt] = made[prompt] if prompt in made else self._kept.pop(prompt)
            self._kept[prompt] = found[prompt]  # now the last
        while len(self._kept) > self.size:
            self._kept.popitem(last=False)
        return [found[prompt] for prompt in prompts]

    def _are_of(self, weights: Sequence[Tensor]) -> bool:
        """Whether these are the weights of what is kept: the same memory, not written to since."""
        return len(weights) == len(self._weights) and all(
            _place(now) == _place(then) and now.dtype == then.dtype and now._version == version
            for now, (then, version) in zip(weights, self._weights, strict=True)
        )


def _place(weight: Tensor) -> tuple[object, object]:
    """Where it lies, which a plan's weights do as well, though they have no memory."""
    return weight.untyped_storage()._cdata, weight.storage_offset()
