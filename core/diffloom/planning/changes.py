"""What a file asks for that changes what it takes, said in a line each."""

from __future__ import annotations

import torch

from diffloom.config.document import Sampling, Train

ERRORS = {
    "tf32": "on NVIDIA GPUs factors are rounded to 10 bits, elsewhere it is fp32",
    "bf16": "not exact: an output is off by about 1 % of its deviation",
    "fp16": "not exact: an output is off by about 0.1 % of its deviation",
}
"""What a precision costs beside fp32, which costs nothing."""


def changes_of_training(train: Train, precision: str) -> dict[str, str]:
    """By the key of `train`; `precision` is what its own is here."""
    told = {"precision": _precision(train.precision, precision)}
    if train.compile:
        told["compile"] = "memory is told as uncompiled; the first steps are slow"
    return told


def changes_of_sampling(sampling: Sampling, precision: str, device: torch.device) -> dict[str, str]:
    """By the key of `sampling`; `precision` is what its own is on this device."""
    told = {"precision": _precision(sampling.precision, precision)}
    if sampling.caching is not None:
        told["caching"] = (
            f"{sampling.caching.canonical}: not exact; the work is at most as told, the calls are shorter"
        )
    if sampling.compile:
        told["compile"] = "memory is told as uncompiled; the first steps are slow"
    if sampling.offload:
        told["offload"] = (
            "changes nothing: the weights are in the CPU's own memory already"
            if device.type == "cpu"
            else "parts are on the device in turn, and brought there once for each batch"
        )
    return told


def _precision(asked: str, precision: str) -> str:
    """`bf16, by auto: not exact: …`."""
    named = "the weights' own type" if precision == "auto" else precision
    chosen = f"{named}, by auto" if asked == "auto" else named
    return f"{chosen}; {ERRORS[precision]}" if precision in ERRORS else chosen
