"""What `train.precision` and `train.convolutions` leave to the machine, settled when a run begins: its resolved
configuration says what it was."""

from __future__ import annotations

from dataclasses import replace

import torch
import yaml

from diffloom.bridge.empty import empty_weights
from diffloom.building import built
from diffloom.config import AnyDocument, Document
from diffloom.config.document import Train
from diffloom.inference import chosen_compute
from diffloom.nn.winograd import winograd_is_faster
from diffloom.training.precision import Precision
from diffloom.training.preparation import Prepared
from diffloom.training.processes import Processes
from diffloom.training.run_folder import RunFolder

SETTLED: dict[str, tuple[str, ...]] = {
    "precision": ("fp32", "tf32", "bf16", "fp16"),
    "convolutions": ("direct", "winograd"),
}
"""What may be left open, and what it may become, in the order by which processes speak of it."""


def settled(prepared: Prepared, run: RunFolder, processes: Processes) -> Prepared:
    """The same with what a begun run has on record, or what the main process finds best for a new one."""
    train = prepared.train
    with processes.together():
        if processes.is_main:
            if run.is_begun:
                train = _as_recorded(train, run)
            train = as_measured(train, prepared.document, processes.device)
    own = [values.index(getattr(train, name)) if processes.is_main else 0 for name, values in SETTLED.items()]
    (numbers, *_) = processes.numbers(*own)
    found = {name: SETTLED[name][number] for name, number in zip(SETTLED, numbers, strict=True)}
    train = prepared.train.model_copy(update=found)
    return replace(prepared, document=prepared.document.model_copy(update={"train": train}), train=train)


def _as_recorded(train: Train, run: RunFolder) -> Train:
    """What was left open is as the run has been computed so far."""
    stored = yaml.safe_load(run.resolved.read_text(encoding="utf-8"))["train"]
    left = [name for name in SETTLED if getattr(train, name) == "auto"]
    return train.model_copy(update={name: stored.get(name, "auto") for name in left})


def as_measured(train: Train, document: AnyDocument, device: torch.device) -> Train:
    """What is still open is what this machine was measured to be fastest with."""
    precision = train.precision if train.precision != "auto" else _chosen(document, device)
    convolutions = train.convolutions
    if convolutions == "auto":
        by_winograd = precision == "fp32" and winograd_is_faster(device, threads=torch.get_num_threads())
        convolutions = "winograd" if by_winograd else "direct"
    return train.model_copy(update={"precision": precision, "convolutions": convolutions})


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
