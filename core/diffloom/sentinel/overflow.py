"""Where the first number came from that is not finite. Legend: B batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from diffloom.sentinel.look import Look

LARGEST_HALF = 65504
"""The largest float16."""


def why_not_finite(look: Look) -> str | None:
    """The first thing that is not finite on the way from the data to the gradient, and what made it so, as a sentence;
    None where everything is finite now."""
    batch = look.batch
    for row, position in enumerate(batch.positions):
        if not batch.images_BCHW[row].isfinite().all():
            return (
                f"The picture of example {position} of the run (row {row} of its pass) holds NaN or infinite numbers: "
                "look at the data"
            )
    for name, parameter in look.state.parameters.items():
        if not parameter.detach().isfinite().all():
            return (
                f"The weights themselves are not finite, {name} the first of them: an earlier step spoiled them, which "
                "is noticed at once on the CPU and with train.log_every: 1"
            )
    passage = _Passage({**dict(look.task.module.named_modules()), **dict(look.task.beside.named_modules())})
    with passage.watched(), torch.enable_grad():
        losses = look.losses()
    if passage.found:
        return passage.found
    if not losses.each_B.isfinite().all():
        row = int((~losses.each_B.isfinite()).nonzero()[0])
        return (
            f"Every module's output is finite and the loss of example {batch.positions[row]} is not: look at the "
            "objective and its weighting"
        )
    parameters = look.state.parameters
    gradients = torch.autograd.grad(
        look.state.scaler.scaled(losses.each_B.mean()), list(parameters.values()), allow_unused=True
    )
    return _first_gradient(dict(zip(parameters, gradients, strict=True)), passage.order)


def _first_gradient(gradients: Mapping[str, Tensor | None], order: list[str]) -> str | None:
    """The module nearest to the loss whose weights' gradient is not finite."""
    bad = {
        name.rpartition(".")[0]
        for name, gradient in gradients.items()
        if gradient is not None and not gradient.isfinite().all()
    }
    if not bad:
        return None
    last = max(bad, key=lambda place: order.index(place) if place in order else -1)
    return (
        f"The loss is finite and its gradient is not: on its way back the first module to overflow is {last}; lower "
        "train.lr, or set train.precision: bf16 where it is fp16"
    )


@dataclass
class _Passage:
    """What goes through the modules of a model."""

    modules: Mapping[str, nn.Module]
    found: str | None = None
    """The first module that made something of finite numbers that is not finite."""
    order: list[str] = field(default_factory=list)
    """The modules in the order in which they ended."""

    def watched(self) -> _Hooks:
        """While entered, what passes is looked at."""
        return _Hooks(
            [
                module.register_forward_hook(partial(self._note, name), with_kwargs=True)
                for name, module in self.modules.items()
            ]
        )

    def _note(
        self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], left: Any
    ) -> None:
        self.order.append(name)
        spoiled = next((value for value in _numbers(left) if not value.isfinite().all()), None)
        if self.found is not None or spoiled is None:
            return
        entered = list(_numbers((args, kwargs)))
        largest = max((float(value.abs().max()) for value in entered if value.numel()), default=0.0)
        place, kind = name or "the model", type(module).__name__
        if not all(value.isfinite().all() for value in entered):
            self.found = f"What enters {place} ({kind}) is not finite already: look at the data's conditions"
            return
        self.found = (
            f"The first module to overflow is {place} ({kind}): what enters it is at most {largest:.3g}, and its "
            f"output in {str(spoiled.dtype).removeprefix('torch.')} is not finite"
        )
        if spoiled.dtype == torch.float16:
            self.found += (
                f": float16 holds no more than {LARGEST_HALF}; set train.precision: bf16, which reaches as far as "
                "float32"
            )
        else:
            self.found += "; lower train.lr or lengthen train.lr_schedule.warmup_steps"


@dataclass(frozen=True)
class _Hooks:
    handles: list[torch.utils.hooks.RemovableHandle]

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


def _numbers(value: Any) -> Iterator[Tensor]:
    """The floating-point tensors within a value."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value.detach()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _numbers(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _numbers(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            yield from _numbers(getattr(value, part.name))
