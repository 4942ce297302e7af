"""What somebody gets who asks for nothing, beside what the peer gives to somebody who asks for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import cast, get_args

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.case import Precision as Multiplied
from torch import Tensor, nn

from diffloom.inference.compute import Precision, chosen_compute
from diffloom.inference.products import products

Call = Callable[[], Tensor | None]
SAME_AGAIN = 2
"""Turns of an arm as it comes that computes in the same type as the arm before it: the same engine once more."""


def with_defaults(
    case: Case, comes: Arm, device: torch.device, *, anew: Callable[[], Call] | None = None
) -> Iterator[Case]:
    """A case in float32, and our arm as it `comes` beside the peer's.

    On a CPU the peer as it comes is the peer in float32: all stand in one case, and where ours is in float32 too, it
    takes few turns. On CUDA torch rounds what its convolutions multiply to TF32 where nobody tells it not to. There the
    first case tells it, and the peer as it comes is another arm: with a call of its own, made `anew`, where each call
    goes on from the last.
    """
    if device.type != "cuda":
        is_known = any(arm.precision == comes.precision for arm in case.ours)
        yield replace(case, ours=[*case.ours, replace(comes, turns=SAME_AGAIN) if is_known else comes])
        return
    yield replace(case, peer=replace(case.peer, call=partial(_exactly, case.peer.call)))
    call = anew() if anew is not None else case.peer.call
    yield replace(case, peer=Arm("diffusers as it comes", call, precision="tf32"), ours=[comes])


def computed_in(precision: Precision, network: nn.Module) -> Multiplied:
    """What our network multiplies in where this precision is asked for."""
    chosen = chosen_compute(precision, network).precision
    assert chosen in get_args(Multiplied)
    return cast(Multiplied, chosen)


def _exactly(call: Call) -> Tensor | None:
    with products(tf32=False):
        return call()
