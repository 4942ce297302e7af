"""What a network was when it was made ready: so that no picture comes from weights that are no more."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from diffloom.inference.observed import HOOKS


class Snapshot:
    """The weights of a network, and what else its modules hold, at one moment."""

    def __init__(self, network: nn.Module) -> None:
        self._modules = [_Held.of(module) for module in network.modules()]
        self._weights = [_Seen.of(weight) for weight in _weights(network)]
        self._sums = _sums(network)

    def is_of(self, network: nn.Module) -> bool:
        """Whether the network is still the same: no weight moved, replaced or written to, no part exchanged.

        A weight that is written to through `.data` or numpy leaves no trace but its numbers, so that these are summed:
        about a tenth of a second for each 10⁹ bytes, once for a walk.
        """
        modules = list(network.modules())
        return (
            len(modules) == len(self._modules)
            and all(held.still(module) for held, module in zip(self._modules, modules, strict=True))
            and self._weights == [_Seen.of(weight) for weight in _weights(network)]
            and self._sums == _sums(network)
        )


@dataclass(frozen=True, eq=False)
class _Held:
    """A module, and what it holds beside weights and other modules."""

    module: weakref.ref[nn.Module]
    held: tuple[Any, ...]
    """Names and values; kept, so that no others can have their identities."""

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
    # Copies are in evaluation mode, whatever the network is in.
    own = {k: v for k, v in vars(module).items() if not k.startswith("_") and k != "training"}
    hooks = [hook for kind in HOOKS for hook in getattr(module, kind).values()]
    return (type(module), *own, *own.values(), *hooks)


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
    return [*network.parameters(), *network.buffers()]


@torch.no_grad()
def _sums(network: nn.Module) -> list[list[float]]:
    """The sum of each weight, the devices one by one, each waited for once."""
    places: dict[torch.device, list[Tensor]] = {}
    for weight in _weights(network):
        places.setdefault(weight.device, []).append(weight.detach().sum().double())
    return [torch.stack(sums).tolist() for sums in places.values()]
