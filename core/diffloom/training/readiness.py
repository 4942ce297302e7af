"""A task made ready to train before its weights are wrapped, divided or optimised."""

from __future__ import annotations

from torch import nn

from diffloom.config.document import Train
from diffloom.nn import prepare_training, unkeyed_dropout
from diffloom.nn.trained_conv import train_by_winograd
from diffloom.training.split import Split
from diffloom.training.task import Task, freeze


def readied(task: Task, train: Train, split: Split) -> list[str]:
    """Freeze what does not train, then checkpoint and compile what does; returns what there is to tell."""
    freeze(task)
    trained = nn.ModuleDict({name: part for name, part in task.module.items() if name not in task.frozen})
    lines = prepare_training(trained, checkpointing=train.gradient_checkpointing, compiled=train.compile)
    if train.convolutions == "winograd":
        train_by_winograd(trained)
        if task.device.type != "cpu" or train.precision != "fp32":
            lines.append("convolutions: winograd is for fp32 on a CPU; here they are direct")
    is_divided = split.processes > 1 or len(split.passes) > 1
    for name in unkeyed_dropout(trained) if is_divided else ():
        lines.append(
            f"{name} is torch's own dropout, which drops other values when a batch is divided otherwise; "
            "diffloom.nn.Dropout drops the same"
        )
    return lines
