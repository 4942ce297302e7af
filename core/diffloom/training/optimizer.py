"""The optimiser as the loop sees it: which weights decay, how its state is named on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from diffloom.config.document import Train
from diffloom.errors import CheckpointError
from diffloom.kinds import ParameterGroup


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
    multiplied, and do not either.
    """
    embeddings = (nn.Embedding, nn.EmbeddingBag)
    return {
        f"{place}.{name}" if place else name
        for place, part in module.named_modules()
        if not isinstance(part, embeddings)
        for name, parameter in part.named_parameters(recurse=False)
        if parameter.dim() >= 2
    }


def learning_rate(step: int, train: Train) -> float:
    """The rate of optimiser step `step`, counted from 1."""
    return train.lr * train.lr_schedule.factor(step, steps=train.steps)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The optimiser's state as `weight name/slot` → tensor."""
    return {
        f"{name}/{slot}": value
        for name, parameter in parameters.items()
        for slot, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
    place: Path,
) -> None:
    """Restore what `optimizer_tensors` gave. Raises CheckpointError when it belongs to other weights."""
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    index = dict(_positions(parameters, ordered))
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, slot = key.rpartition("/")
        if name not in index:
            raise CheckpointError(
                f"{place}: its optimiser state is for {name!r}, which this model does not train"
            )
        state.setdefault(index[name], {})[slot] = value.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _positions(
    parameters: Mapping[str, nn.Parameter], ordered: list[nn.Parameter]
) -> Iterator[tuple[str, int]]:
    """Each name with its parameter's number in the optimiser."""
    numbers = {id(parameter): number for number, parameter in enumerate(ordered)}
    return ((name, numbers[id(parameter)]) for name, parameter in parameters.items())
