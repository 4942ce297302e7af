"""A copy of a network for samples alone, which shares with it every weight that is the same."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from diffloom.inference.compute import Compute
from diffloom.inference.observed import HOOKS, is_observed, own_methods


@torch.no_grad()
def prepared(network: nn.Module, compute: Compute) -> nn.Module:
    """The network as it computes samples; the network itself where that is no other.

    Every module that has a method `for_inference() -> nn.Module` is replaced by what that returns, a faster form which
    computes the same from the same weights; what is inside it was replaced before. In half precision what a module
    names by a method `keeps_float32() -> Collection[str]`, parts of it by their dotted names, stays in float32: its
    weights, what enters it and what it returns. A network that someone looks into (`is_observed`) keeps its own forms,
    and where it is copied its hooks are called for the copy.

    A weight that changes afterwards makes a copy stale.
    """
    exact = {weight for part in _exact_parts(network, compute) for weight in part.parameters()}
    memo: dict[int, Any] = {
        id(weight): _converted(weight, compute, keeps_type=weight in exact)
        for weight in (*network.parameters(), *network.buffers())
    }
    is_own = all(_shares(weight, memo[id(weight)]) for weight in (*network.parameters(), *network.buffers()))
    has_forms = not is_observed(network) and any(hasattr(part, "for_inference") for part in network.modules())
    if is_own and not has_forms:
        return network
    memo |= {id(shared): shared for part in network.modules() for shared in _shared(part)}
    ready = copy.deepcopy(network, memo).eval().requires_grad_(False)
    parts = set(_exact_parts(ready, compute))
    if has_forms:
        ready = _formed(ready, parts, {})
    else:
        for part in parts:
            part.register_forward_pre_hook(_in_float32)
    return ready


def _converted(weight: Tensor, compute: Compute, *, keeps_type: bool) -> Tensor:
    """The weight in the type, the layout and the place of the copy; its own memory where they are the same."""
    data = weight.detach()
    if weight.is_floating_point():
        is_picture = compute.channels_last and weight.dim() == 4
        data = data.to(
            dtype=weight.dtype if keeps_type else compute.dtype,
            memory_format=torch.channels_last if is_picture else torch.preserve_format,
        )
    if compute.device is not None:
        data = data.to(compute.device)
    return nn.Parameter(data, requires_grad=False) if isinstance(weight, nn.Parameter) else data


def _shares(weight: Tensor, converted: Tensor) -> bool:
    """Whether the two are the same memory."""
    return weight.device == converted.device and weight.data_ptr() == converted.data_ptr()


def _exact_parts(network: nn.Module, compute: Compute) -> Iterator[nn.Module]:
    """What is computed in float32 though the network is not."""
    if not compute.is_half:
        return
    for part in network.modules():
        names = cast(Collection[str], getattr(part, "keeps_float32", tuple)())
        yield from (part.get_submodule(name) for name in names)


def _shared(part: nn.Module) -> Iterator[object]:
    """What belongs to others and is not copied: the kernel of an attention, hooks, methods that were replaced."""
    if hasattr(part, "kernel"):
        yield part.kernel
    for hooks in HOOKS:
        yield from getattr(part, hooks).values()
    for name in own_methods(part):
        yield vars(part)[name]


def _formed(part: nn.Module, exact: Collection[nn.Module], done: dict[nn.Module, nn.Module]) -> nn.Module:
    """The part in its faster form, as are those inside it; one that stands in two places stays one."""
    if part not in done:
        for name, child in part.named_children():
            part.add_module(name, _formed(child, exact, done))
        for_inference: Callable[[], nn.Module] | None = getattr(part, "for_inference", None)
        form = part if for_inference is None else for_inference()
        if part in exact:
            form.register_forward_pre_hook(_in_float32)
        done[part] = form.eval().requires_grad_(False)
    return done[part]


def _in_float32(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """What enters, its numbers in float32."""
    return tuple(
        value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in inputs
    )
