"""The parts of a network in their faster forms."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from torch import Tensor, nn

from diffloom.nn import Block


class Forming:
    """Goes through a copy of a network once."""

    def __init__(self, exact: Collection[nn.Module], *, has_faster_forms: bool) -> None:
        self._exact = exact
        """What is given float32, whatever the network computes in."""
        self._has_faster_forms = has_faster_forms
        self._done: dict[nn.Module, nn.Module] = {}
        self.blocks: dict[nn.Module, None] = {}
        """The network's blocks in their forms, and in their order; a block inside another is a part of it."""

    def formed(self, part: nn.Module, *, in_block: bool = False) -> nn.Module:
        """The part in its form for samples, as are those inside it; one that stands in two places stays one."""
        if part not in self._done:
            is_block = isinstance(part, Block) and not in_block
            for name, child in part._modules.items():  # `named_children` passes over a second place
                if child is not None:
                    part._modules[name] = self.formed(child, in_block=in_block or is_block)
            faster: Callable[[], nn.Module] | None = getattr(part, "for_inference", None)
            form = faster().eval().requires_grad_(False) if faster and self._has_faster_forms else part
            if part in self._exact:
                form.register_forward_pre_hook(_in_float32)
            if is_block:
                self.blocks[form] = None
            self._done[part] = form
        return self._done[part]


def _in_float32(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """What enters, its numbers in float32."""
    return tuple(
        value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in inputs
    )
