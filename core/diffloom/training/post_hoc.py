"""An average of a run that it did not keep, made afterwards from its snapshots (Karras et al. 2024, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from diffloom import config
from diffloom.checkpoint import Checkpoint, open_checkpoint, save_checkpoint
from diffloom.config.document import Train
from diffloom.config.part import part
from diffloom.errors import RunError
from diffloom.kinds import EMA
from diffloom.registry import Registry
from diffloom.training.profiles import Combination, Profile, combination
from diffloom.training.run_folder import checkpoint_of
from diffloom.training.snapshots import BUFFERS, Snapshots, combinable


@dataclass(frozen=True)
class Reconstructed:
    """An average made from snapshots."""

    checkpoint: Path
    """It, as a checkpoint to sample from."""
    step: int
    """The step that it is of."""
    snapshots: int
    """How many snapshots it was made from."""
    error: float
    """How far its profile is from the wanted one, as a share of that one's norm."""


def reconstruct(
    run: Path, *, sigma_rel: float, registry: Registry, step: int | None = None, output: Path | None = None
) -> Reconstructed:
    """Write the average of width `sigma_rel` after `step`, by default the last snapshot's, as a checkpoint.

    Raises ConfigError for a width that no power function has, RunError where the run has no snapshot of that step,
    and CheckpointError for one that is damaged.
    """
    wanted = part("ema", f"{{type: diffloom/power, sigma_rel: {sigma_rel!r}}}", registry=registry)
    assert isinstance(wanted, EMA)
    assert wanted.exponent is not None
    saved = Snapshots(run).saved()
    if not saved:
        raise RunError(
            f"{run}: has no snapshots to make an average from; train with train.snapshot_every and two averages of "
            "type `power`"
        )
    step = _step_of(saved, step, run)
    used = {number: open_checkpoint(path) for number, path in saved.items() if number <= step}
    resolved = config.parse(used[step].config, name=str(used[step].path), registry=registry)
    document = resolved.document
    train = document.train
    assert train is not None, "a run was trained"
    found, tensors = _combined(used, Profile(wanted.exponent, step), train)
    kept = train.model_copy(update={"ema": wanted, "further_ema": {}, "snapshot_every": None})
    text = config.to_yaml(document.model_copy(update={"train": kept}), registry)
    frozen = open_checkpoint(checkpoint_of(run)).group("frozen")
    path = output or run / "averages" / f"step-{step:08d}-sigma-rel-{sigma_rel:g}.safetensors"
    save_checkpoint(path, {"frozen": frozen, "ema": tensors}, step=step, config=text)
    return Reconstructed(checkpoint=path, step=step, snapshots=len(used), error=found.error)


def _step_of(saved: Mapping[int, Path], step: int | None, run: Path) -> int:
    if step is None:
        return max(saved)
    if step not in saved:
        near = sorted(sorted(saved, key=lambda other: abs(other - step))[:2])
        raise RunError(
            f"{run}: has no snapshot of step {step}; the nearest are of {' and '.join(map(str, near))}"
        )
    return step


def _combined(
    used: Mapping[int, Checkpoint], wanted: Profile, train: Train
) -> tuple[Combination, dict[str, Tensor]]:
    """Σ share · average over all snapshots, summed in float64, and the last one's buffers."""
    exponents = combinable(train)
    places = [(step, group) for step in used for group in exponents]
    found = combination([Profile(exponents[group], step) for step, group in places], wanted)
    sums: dict[str, Tensor] = {}
    types: dict[str, torch.dtype] = {}
    for (step, group), share in zip(places, found.shares, strict=True):
        for name, tensor in used[step].group(group).items():
            types[name] = tensor.dtype
            term = tensor.to(torch.float64) * float(share)
            sums[name] = sums[name].add_(term) if name in sums else term
    averaged = {name: total.to(types[name]) for name, total in sums.items()}
    return found, {**averaged, **used[wanted.step].group(BUFFERS)}
