"""What the examples of a step cost, gathered over its passes and processes.

Legend: B batch, b this process's share of it, P processes, W the width of a process's row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffloom.training.processes import Processes
from diffloom.training.split import Split
from diffloom.training.task import Losses


def joined(parts: Sequence[Losses], *, split: Split, processes: Processes) -> Losses:
    """The losses of all passes in all processes, in the order of the examples; figures are their means, each weighed by
    its examples. In every process the same numbers. Does not wait for the device."""
    each_b = torch.cat([part.each_B for part in parts])
    times = [part.t_B for part in parts if part.t_B is not None]
    t_b = torch.cat(times) if times else None
    figures = {
        name: torch.stack(
            [part.figures[name] * (len(part.each_B) / split.batch_size) for part in parts]
        ).sum()
        for name in parts[0].figures
    }
    if processes.count == 1:
        return Losses(each_b, figures, t_b)
    shares = [_share(split, process) for process in range(processes.count)]
    columns = [each_b] if t_b is None else [each_b, t_b]
    most = max(shares)
    entries = [
        *(_filled(column_b, most) for column_b in columns),
        *(value[None] for value in figures.values()),
    ]
    row_W = torch.cat([entry.to(processes.device, torch.float64) for entry in entries])
    rows_PW = processes.gathered(row_W[None])
    found = [
        torch.cat([row[start : start + share] for row, share in zip(rows_PW, shares, strict=True)]).to(
            column.dtype
        )
        for start, column in zip(range(0, most * len(columns), most), columns, strict=True)
    ]
    means = rows_PW[:, most * len(columns) :].sum(0)
    return Losses(
        found[0],
        {name: mean.to(value.dtype) for (name, value), mean in zip(figures.items(), means, strict=True)},
        None if t_b is None else found[1],
    )


def _share(split: Split, process: int) -> int:
    """How many examples of each batch a process takes."""
    own = Split(
        batch_size=split.batch_size,
        micro_batch_size=split.micro_batch_size,
        process=process,
        processes=split.processes,
    )
    return sum(len(places) for places in own.passes)


def _filled(column_b: Tensor, length: int) -> Tensor:
    """Filled up with zeros: a gathering takes equal lengths."""
    return torch.nn.functional.pad(column_b, (0, length - len(column_b)))
