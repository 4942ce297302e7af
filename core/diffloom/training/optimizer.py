"""The optimiser as the loop sees it: which weights decay, how its state is named on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffloom.config.document import Train
from diffloom.errors import CheckpointError, PluginError
from diffloom.kinds import ParameterGroup

NUMBER = ":number"
"""Ends the names of what is a Python number in the optimiser: an int64, float64 or boolean tensor on disk."""
GROUP = "group:"
"""Begins the names of what belongs to a whole group of weights; weights' own names have dots."""


def build_optimizer(
    module: nn.Module, parameters: Mapping[str, nn.Parameter], train: Train
) -> torch.optim.Optimizer:
    """The run's optimiser over `parameters` of `module`, with decay only where it belongs."""
    decaying = decaying_names(module)
    groups = [
        ParameterGroup([p for name, p in parameters.items() if (name in decaying) is decays], decays)
        for decays in (True, False)
    ]
    return train.optimizer.build([group for group in groups if group.parameters], lr=train.lr)


def decaying_names(module: nn.Module) -> set[str]:
    """The weights that decay: those that multiply their input.

    Biases and the scales of norms have one dimension and do not; the rows of an embedding are looked up, not
    multiplied, and do not either; nor do those that a module says so of, in its method `no_decay()`.
    """
    embeddings = (nn.Embedding, nn.EmbeddingBag)
    exempt = {f"{place}.{name}" if place else name for place, name in _exempt(module)}
    return {
        f"{place}.{name}" if place else name
        for place, part in module.named_modules()
        if not isinstance(part, embeddings)
        for name, parameter in part.named_parameters(recurse=False)
        if parameter.dim() >= 2
    } - exempt


def _exempt(module: nn.Module) -> Iterator[tuple[str, str]]:
    """What modules say does not decay: the module's place, and its parameter's name in it."""
    for place, part in module.named_modules():
        no_decay = getattr(part, "no_decay", None)
        for name in no_decay() if callable(no_decay) else ():
            if name not in dict(part.named_parameters(remove_duplicate=False)):
                raise PluginError(
                    f"{type(part).__name__}.no_decay() names {name!r}, which is none of its parameters"
                )
            yield place, name


def learning_rate(step: int, train: Train) -> float:
    """The rate of optimiser step `step`, counted from 1."""
    return train.lr * train.lr_schedule.factor(step, steps=train.steps)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """All that the optimiser remembers: as `weight's name/slot`, and as `group:NUMBER/key` what it keeps of a group.

    Tensors are as they are (sharded ones too), numbers are tensors of their own. What a group holds beside those
    (pairs, words, null) is configuration. Raises PluginError for a state that is neither.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        for slot, value in optimizer.state.get(parameter, {}).items():
            if not isinstance(value, Tensor | int | float):
                raise PluginError(
                    f"{type(optimizer).__name__} keeps a {type(value).__name__} in its state {slot!r}; what it "
                    "remembers must be tensors and numbers, or a run could not be resumed"
                )
            tensors |= _stored(f"{name}/{slot}", value)
    for number, group in enumerate(optimizer.param_groups):
        for key, value in group.items():
            if isinstance(value, Tensor | int | float):
                tensors |= _stored(f"{GROUP}{number}/{key}", value)
    return tensors


def load_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
    place: Path,
) -> None:
    """Restore what `optimizer_tensors` gave. Raises CheckpointError when it belongs to other weights."""
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    index = dict(_positions(parameters, ordered))
    state: dict[int, dict[str, Any]] = {}
    groups: list[dict[str, Any]] = optimizer.state_dict()["param_groups"]
    for key, tensor in tensors.items():
        name, _, slot = key.rpartition("/")
        slot, value = _restored(slot, tensor)
        if name.startswith(GROUP):
            number = int(name.removeprefix(GROUP))
            if number >= len(groups):
                raise CheckpointError(
                    f"{place}: its optimiser has a group {number} of weights, and this model has {len(groups)}"
                )
            groups[number][slot] = value
        elif name in index:
            state.setdefault(index[name], {})[slot] = value
        else:
            raise CheckpointError(
                f"{place}: its optimiser state is for {name!r}, which this model does not train"
            )
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for number, slots in state.items():
        loaded = optimizer.state[ordered[number]]
        for slot, value in slots.items():  # torch brings all of it to its weight's type
            if isinstance(value, Tensor) and loaded[slot].dtype != value.dtype:
                loaded[slot] = value.to(loaded[slot].device)


def _stored(name: str, value: Tensor | float) -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {name: value}
    return {f"{name}{NUMBER}": torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)}


def _restored(slot: str, tensor: Tensor) -> tuple[str, Tensor | float]:
    """The slot's name and what was in it."""
    if slot.endswith(NUMBER):
        return slot.removesuffix(NUMBER), tensor.item()
    return slot, tensor.clone()


def _positions(
    parameters: Mapping[str, nn.Parameter], ordered: list[nn.Parameter]
) -> Iterator[tuple[str, int]]:
    """Each name with its parameter's number in the optimiser."""
    numbers = {id(parameter): number for number, parameter in enumerate(ordered)}
    return ((name, numbers[id(parameter)]) for name, parameter in parameters.items())
