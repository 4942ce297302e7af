"""A copy of a network for samples alone, which shares with it every weight that is the same."""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from diffloom.errors import DiffloomError
from diffloom.inference.compute import Compute, mixes_norms, own_device
from diffloom.inference.forms import Forming
from diffloom.inference.observed import HOOKS, is_observed, own_methods
from diffloom.nn.compilation import Backend, compile_blocks
from diffloom.nn.ready_conv import ReadyConv2d

logger = logging.getLogger("diffloom")


@torch.inference_mode(mode=False)  # a copy made there would have no gradients pass
@torch.no_grad()
def prepared(network: nn.Module, compute: Compute, *, backend: Backend = "inductor") -> nn.Module:
    """The network as it computes samples; the network itself where that is no other.

    Every module that has a method `for_inference() -> nn.Module` is replaced by what that returns, a faster form which
    computes the same from the same weights; what is inside it was replaced before. In half precision what a module
    names by a method `keeps_float32() -> Collection[str]`, parts of it by their dotted names, stays in float32: its
    weights, what enters it and what it returns. So do the weights of norms, whose statistics torch computes in float32
    in any case, where the device takes them. A network that someone looks into (`is_observed`) keeps its own forms,
    and where it is copied its hooks are called for the copy.

    One that cannot be copied draws as it is, and a line of the log says why. Raises DiffloomError where it would have
    to be another type, or elsewhere.

    Where it is `compiled`, its blocks are (`diffloom.nn.blocks`), in their own forms: torch makes faster ones.

    A weight that changes afterwards makes a copy stale.
    """
    is_free = not is_observed(network)
    compiles = is_free and compute.compiled != "not"
    has_forms = is_free and not compiles and any(hasattr(part, "for_inference") for part in network.modules())
    exact = {weight for part in _exact_parts(network, compute) for weight in part.parameters()}
    exact |= {weight for norm in _exact_norms(network, compute) for weight in norm.parameters()}
    memo: dict[int, Any] = {
        id(weight): _converted(
            weight,
            compute,
            torch.float32 if weight in exact else compute.dtype,
            lays_out=compute.channels_last and not has_forms,
        )
        for weight in (*network.parameters(), *network.buffers())
    }
    is_own = all(_shares(weight, memo[id(weight)]) for weight in (*network.parameters(), *network.buffers()))
    if is_own and not has_forms and not compiles:
        return network
    memo |= {id(shared): shared for part in network.modules() for shared in _shared(part)}
    try:
        ready = copy.deepcopy(network, memo).eval().requires_grad_(False)
    except (RuntimeError, TypeError, NotImplementedError) as error:  # of an author's locks, files, …
        converted = [(weight, memo[id(weight)]) for weight in network.parameters()]
        if any((old.dtype, old.device) != (new.dtype, new.device) for old, new in converted):
            raise DiffloomError(
                f"sampling: {type(network).__name__} cannot be copied ({error}), so that it draws only in its own "
                "type, where it is: take precision: auto and no offload, or give it a __deepcopy__"
            ) from error
        _tell_uncopied(type(network).__name__, str(error))
        return network
    forming = Forming(set(_exact_parts(ready, compute)), has_faster_forms=has_forms)
    ready = forming.formed(ready)
    if has_forms and compute.channels_last:
        _lay_out(ready)
    if compiles:
        _compile(list(forming.blocks), compute, backend)
    return ready


@cache
def _tell_uncopied(name: str, reason: str) -> None:
    """Once."""
    logger.warning("sampling: %s cannot be copied, so it draws as it is, no faster: %s", name, reason)


def _compile(blocks: list[nn.Module], compute: Compute, backend: Backend) -> None:
    """Compile these, where they are any and this machine can; tell what happens."""
    if not blocks:
        logger.warning(
            "sampling.compile: the network has no blocks (diffloom.nn.Block), so nothing is compiled"
        )
        return
    line = compile_blocks(
        blocks, backend=backend, mode="reduce-overhead" if compute.compiled == "graphs" else None
    )
    told = line.removeprefix("warning: ")
    if told != line:
        logger.warning("sampling.compile: %s", told)
    else:
        logger.info("sampling: %s; the first step of each is slow", line)


def _converted(weight: Tensor, compute: Compute, dtype: torch.dtype, *, lays_out: bool) -> Tensor:
    """The weight in this type, in the layout and the place of the copy; its own memory where they are the same."""
    data = weight.detach()
    if weight.is_floating_point():
        layout = torch.channels_last if lays_out and weight.dim() == 4 else torch.preserve_format
        data = data.to(dtype=dtype, memory_format=layout)
    if compute.device is not None:
        data = data.to(compute.device)
    return nn.Parameter(data, requires_grad=False) if isinstance(weight, nn.Parameter) else data


def _lay_out(ready: nn.Module) -> None:
    """Lay out the weights of pictures pixel by pixel, but for those that are held in an order of their own beside it:
    these stay the network's, and in memory once.
    """
    sorted_anew = {
        id(part.weight) for part in ready.modules() if isinstance(part, ReadyConv2d) and part.is_sorted
    }
    for weight in (*ready.parameters(), *ready.buffers()):
        if weight.dim() == 4 and weight.is_floating_point() and id(weight) not in sorted_anew:
            weight.data = weight.data.to(memory_format=torch.channels_last)


def _shares(weight: Tensor, converted: Tensor) -> bool:
    """Whether the two are the same memory, which a plan's have as well, though there is none."""
    # None converts a part of a weight, so that nothing but the memory needs to be compared.
    return bool(weight.untyped_storage()._cdata == converted.untyped_storage()._cdata)


def _exact_parts(network: nn.Module, compute: Compute) -> Iterator[nn.Module]:
    """What is computed in float32 though the network is not."""
    if not compute.is_half:
        return
    for part in network.modules():
        names = cast(Collection[str], getattr(part, "keeps_float32", tuple)())
        yield from (part.get_submodule(name) for name in names)


def _exact_norms(network: nn.Module, compute: Compute) -> Iterator[nn.Module]:
    """Norms whose weights need not be rounded."""
    place = compute.device or own_device(network)
    if compute.is_half and mixes_norms(compute.dtype, place):
        yield from (part for part in network.modules() if isinstance(part, nn.GroupNorm | nn.LayerNorm))


def _shared(part: nn.Module) -> Iterator[object]:
    """What belongs to others and is not copied: the kernel of an attention, hooks, methods that were replaced."""
    if hasattr(part, "kernel"):
        yield part.kernel
    for hooks in HOOKS:
        yield from getattr(part, hooks).values()
    for name in own_methods(part):
        yield vars(part)[name]
