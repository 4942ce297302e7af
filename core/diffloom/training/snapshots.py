"""Snapshots: the averages of a run that can be combined into others, as they were at many steps.

`snapshots/` in the run folder has one file for a step: a checkpoint with the groups of these averages and, in
`buffers`, what else of the model changed. Its header's configuration says how wide each average is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from diffloom.checkpoint.weights import ema_group
from diffloom.config.document import Train

FOLDER = "snapshots"
BUFFERS = "buffers"
NAME = re.compile(r"step-(\d{8,})\.safetensors")


@dataclass(frozen=True)
class Snapshots:
    """Those of one run. Making this object touches nothing."""

    run: Path
    """The run folder."""

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.run / FOLDER

    def path(self, step: int) -> Path:
        """Where the snapshot of a step belongs."""
        return self.folder / f"step-{step:08d}.safetensors"

    def saved(self) -> dict[int, Path]:
        """The snapshots by their steps, in their order."""
        if not self.folder.is_dir():
            return {}
        found = {int(m[1]): p for p in self.folder.iterdir() if (m := NAME.fullmatch(p.name))}
        return dict(sorted(found.items()))


def combinable(train: Train) -> dict[str, float]:
    """The exponents of the run's averages that have one, by their groups."""
    exponents = {name: average.exponent for name, average in {"": train.ema, **train.further_ema}.items()}
    return {ema_group(name): exponent for name, exponent in exponents.items() if exponent is not None}


def snapshot_groups(
    groups: Mapping[str, Mapping[str, Tensor]], *, module: nn.Module, train: Train
) -> dict[str, dict[str, Tensor]]:
    """What a snapshot keeps of a checkpoint's groups."""
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    averages = {group: groups[group] for group in combinable(train)}
    buffers = {name: value for name, value in groups["weights"].items() if name not in parameters}
    return {
        **{
            group: {name: value for name, value in tensors.items() if name in parameters}
            for group, tensors in averages.items()
        },
        BUFFERS: buffers,
    }
