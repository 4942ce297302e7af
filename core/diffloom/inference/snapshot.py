"""What a network was when it was made ready: so that no picture comes from weights that are no more.

Legend: N numbers of a weight, R rows of them, K a row's numbers.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from diffloom.inference.observed import HOOKS

ROW = 1024
"""Numbers of a weight that are summed together."""
ROWS_AT_ONCE = 256
"""Of weights in half precision on a CPU: so many in float32 stay in its cache."""
OWN = frozenset(vars(nn.Module()))
"""What every module holds; of these the weights, the modules inside and the hooks are looked at by themselves, and
copies are in evaluation mode, whatever the network is in."""


class Snapshot:
    """The weights of a network, and what else its modules hold, at one moment."""

    def __init__(self, network: nn.Module) -> None:
        self._modules = [_Held.of(module) for module in network.modules()]
        self._weights = [_Seen.of(weight) for weight in _weights(network)]
        self._sums = _sums(network)

    def is_of(self, network: nn.Module) -> bool:
        """Whether the network is still the same: no weight moved, replaced or written to, no part or attribute
        exchanged, nor anything in its lists and dictionaries.

        A weight that is written to through `.data` or numpy leaves no trace but its numbers, so that these are summed,
        each times a factor of its place: about a tenth of a second for each 10⁹ bytes, once for a walk.
        """
        modules = list(network.modules())
        return (
            len(modules) == len(self._modules)
            and all(held.still(module) for held, module in zip(self._modules, modules, strict=True))
            and self._weights == [_Seen.of(weight) for weight in _weights(network)]
            and all(map(torch.equal, self._sums, _sums(network)))
        )


@dataclass(frozen=True, eq=False)
class _Held:
    """A module, and what it holds beside weights and other modules."""

    module: weakref.ref[nn.Module]
    held: tuple[Any, ...]
    """Names and values; kept, so that no others can have their identities. Tensors among them are weights too."""

    @classmethod
    def of(cls, module: nn.Module) -> _Held:
        return cls(weakref.ref(module), _held(module))

    def still(self, module: nn.Module) -> bool:
        """Whether it is this module, with the very same."""
        now = _held(module)
        return (
            self.module() is module
            and len(now) == len(self.held)
            and all(one is other for one, other in zip(now, self.held, strict=True))
        )


def _held(module: nn.Module) -> tuple[Any, ...]:
    hooks = [hook for kind in HOOKS for hook in getattr(module, kind).values()]
    return (type(module), *_leaves(_attributes(module)), *hooks)


def _attributes(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name not in OWN}


def _leaves(value: Any) -> Iterator[Any]:
    """What is in containers, and in those inside them."""
    if type(value) is dict:
        yield from value
        value = value.values()
    elif type(value) not in (list, tuple, set, frozenset):
        yield value
        return
    for part in value:
        yield from _leaves(part)


@dataclass(frozen=True)
class _Seen:
    """Where a weight lies, and how often autograd saw it written to. Its memory is not kept alive."""

    storage: StorageWeakRef
    view: tuple[Any, ...]

    @classmethod
    def of(cls, weight: Tensor) -> _Seen:
        version = 0 if weight.is_inference() else weight._version
        view = (weight.storage_offset(), weight.shape, weight.stride(), weight.dtype, weight.device, version)
        storage = StorageWeakRef(weight.untyped_storage())  # type: ignore[no-untyped-call]
        return cls(storage, view)


def _weights(network: nn.Module) -> list[Tensor]:
    """Those that it says, and any other tensors in its attributes."""
    others = [leaf for module in network.modules() for leaf in _leaves(_attributes(module))]
    return [
        *network.parameters(),
        *network.buffers(),
        *(leaf for leaf in others if isinstance(leaf, Tensor)),
    ]


@torch.no_grad()
def _sums(network: nn.Module) -> list[Tensor]:
    """Of all weights, the devices one by one, each waited for once when they are compared."""
    places: dict[torch.device, list[Tensor]] = {}
    for weight in _weights(network):
        places.setdefault(weight.device, []).extend(_sums_of(weight))
    return [torch.cat(sums) for sums in places.values()]


def _sums_of(weight: Tensor) -> Iterator[Tensor]:
    """Of its numbers, each times a factor of its place, in the order in which they lie in memory."""
    if not weight.is_floating_point():
        yield weight.sum().double().view(1)
        return
    last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    number_N = (weight.permute(0, 2, 3, 1) if last else weight).detach().flatten()
    dtype = torch.promote_types(weight.dtype, torch.float32)
    factor_K = _factors(dtype, weight.device)
    whole = len(number_N) // ROW * ROW
    number_RK = number_N[:whole].view(-1, ROW)
    is_converted = weight.dtype != dtype and weight.device.type == "cpu"
    rows = ROWS_AT_ONCE if is_converted else max(len(number_RK), 1)
    for some_RK in torch.split(number_RK, rows):
        yield (some_RK.to(dtype) @ factor_K).double()
    rest_N = number_N[whole:].to(dtype)
    yield (rest_N @ factor_K[: len(rest_N)]).double().view(1)


@cache
def _factors(dtype: torch.dtype, device: torch.device) -> Tensor:
    """(K,) between 0.5 and 1.5, neighbours far from each other: multiples of the golden ratio."""
    with torch.inference_mode(mode=False):
        place_K = torch.arange(ROW, dtype=torch.float64, device=device)
        return ((place_K * 0.6180339887498949) % 1 + 0.5).to(dtype)
