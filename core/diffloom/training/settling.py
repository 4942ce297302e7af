"""`train.precision: auto` settled when a run begins, so that its resolved configuration says what it was."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
import yaml

from diffloom.bridge.empty import empty_weights
from diffloom.building import built
from diffloom.config import AnyDocument, Document
from diffloom.inference import chosen_compute
from diffloom.training.precision import Precision
from diffloom.training.preparation import Prepared
from diffloom.training.processes import Processes
from diffloom.training.run_folder import RunFolder

SETTLED: tuple[Precision, ...] = ("fp32", "tf32", "bf16", "fp16")
"""What a run's precision may be, in the order by which processes speak of it."""


def settled(prepared: Prepared, run: RunFolder, processes: Processes) -> Prepared:
    """The same with the precision that a begun run has on record, or that the main process finds best for a new one."""
    if prepared.train.precision != "auto":
        return prepared
    with processes.together():
        own: Precision = "fp32"
        if processes.is_main:
            recorded = _recorded(run) if run.is_begun else "auto"
            own = _chosen(prepared.document, processes.device) if recorded == "auto" else recorded
    ((number,), *_) = processes.numbers(SETTLED.index(own))
    train = prepared.train.model_copy(update={"precision": SETTLED[number]})
    return replace(prepared, document=prepared.document.model_copy(update={"train": train}), train=train)


def _recorded(run: RunFolder) -> Precision:
    """What the run has computed in so far."""
    stored = yaml.safe_load(run.resolved.read_text(encoding="utf-8"))
    return cast(Precision, stored["train"].get("precision", "auto"))


def _chosen(document: AnyDocument, device: torch.device) -> Precision:
    """bf16 for large denoising networks where the device was measured to compute their layers clearly faster in it.

    An autoencoder, whose error is what the model on it can never mend, is exact.
    """
    if not isinstance(document, Document):
        return "fp32"
    with empty_weights():
        network = built(
            "backbone",
            lambda: document.backbone.build(space=document.space_info, condition=document.condition_info),
        )
    return "bf16" if chosen_compute("auto", network, device=device).dtype == torch.bfloat16 else "fp32"
