"""Layers that are dead, or whose outputs explode. Legend: B batch, U units of a layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from diffloom.sentinel.finding import Alarm
from diffloom.sentinel.look import Look

DEAD = 0.95
"""Share of a layer's units that say the same whatever enters: from here on it is dead."""
EXPLODED = 1e4
"""Root mean square of a layer's outputs from which on it explodes: what enters a network is of size 1, and float16 ends
at 6.5e4."""
TWICE = 2
"""Looks in a row that must agree."""
FIRST_STEP = 20
"""Before this layers may still stand where they began, at zero on purpose."""
FEWEST = 8
"""Values of a unit that must be the same before it is called dead."""


@dataclass(frozen=True)
class _Passed:
    """What went through a layer, on the device."""

    varies: Tensor
    """Whether what entered differs from example to example."""
    units: int
    dead: Tensor
    """How many of the units say the same everywhere."""
    rms: Tensor


class Layers:
    """Watches the innermost modules that are trained, and those beside them without weights, such as activations."""

    def __init__(self, root: nn.Module) -> None:
        self._watched = dict(_watched(root))
        self._passed: dict[str, list[_Passed]] = {}
        self._dead_looks: dict[str, int] = {}
        self._last: dict[str, tuple[float, float]] = {}

    def look(self, look: Look) -> dict[str, float]:
        """Let the examples through once, and take note of what leaves each layer."""
        self._passed = {}
        hooks = [
            module.register_forward_hook(partial(self._note, name)) for name, module in self._watched.items()
        ]
        try:
            with torch.enable_grad():  # some losses take gradients on their way
                look.losses()
        finally:
            for hook in hooks:
                hook.remove()
        self._last = {}
        for name, passages in self._passed.items():
            dead = [int(passed.dead) / passed.units for passed in passages if passed.varies]
            self._last[name] = (min(dead, default=0.0), max(float(passed.rms) for passed in passages))
            is_dead = self._last[name][0] >= DEAD and look.step >= FIRST_STEP
            self._dead_looks[name] = self._dead_looks.get(name, 0) + 1 if is_dead else 0
        return {}

    def judged(self, look: Look) -> Iterator[Alarm]:
        """What the last looks show: of many layers the first, as those behind it suffer from it."""
        for name, (dead, _) in self._last.items():
            if self._dead_looks[name] >= TWICE:
                yield Alarm(
                    "dead-layer",
                    f"{name} ({type(self._watched[name]).__name__}): {dead:.0%} of its units say the same for every "
                    "example: it passes nothing on and learns no more; look at its initial weights and at whether they "
                    "are trained, or try a lower train.lr",
                    figure=1.0,
                )
                break
        for name, (_, rms) in self._last.items():
            if rms > EXPLODED:
                yield Alarm(
                    "exploding-layer",
                    f"{name} ({type(self._watched[name]).__name__}): its outputs have a root mean square of {rms:.2g}, "
                    "where what enters the network is of size 1; try a lower train.lr, a weight decay "
                    "(train.optimizer.weight_decay), or a norm before it",
                    figure=rms,
                )
                break

    def _note(self, name: str, module: nn.Module, entered: tuple[Any, ...], left: Any) -> None:
        into = next((value for value in entered if isinstance(value, Tensor)), None)
        if not isinstance(left, Tensor) or into is None or not into.is_floating_point() or left.dim() < 2:
            return
        values_UN = _by_unit(left.detach())
        if values_UN.shape[1] < FEWEST or len(into) < 2:
            return
        is_dead_U = values_UN.amax(1) == values_UN.amin(1)
        varies = (into.detach() != into.detach()[:1]).any()
        rms = values_UN.float().square().mean().sqrt()
        self._passed.setdefault(name, []).append(_Passed(varies, len(is_dead_U), is_dead_U.sum(), rms))


def _by_unit(values: Tensor) -> Tensor:
    """One row for each unit: the channels of pictures, the last axis of tokens and vectors."""
    return (values.transpose(0, 1) if values.dim() > 3 else values.movedim(-1, 0)).flatten(1)


def _watched(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for place, parent in root.named_modules():
        trains = any(parameter.requires_grad for parameter in parent.parameters())
        for name, child in parent.named_children():
            if not any(child.children()) and trains and _may_learn(child):
                yield f"{place}.{name}" if place else name, child


def _may_learn(module: nn.Module) -> bool:
    """Whether it has no weights, or some that are trained."""
    own = list(module.parameters())
    return not own or any(parameter.requires_grad for parameter in own)
