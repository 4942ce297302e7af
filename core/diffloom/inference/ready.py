"""Networks that are ready, kept while their weights stay. Legend: B batch, C channels, H height, W width, K levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.inference.compute import Compute, chosen_compute
from diffloom.inference.prepared import prepared


@dataclass(frozen=True)
class ReadyNetwork:
    """A network that draws samples."""

    module: nn.Module
    compute: Compute

    def prepare(self, condition: Condition, times: Sequence[float] = ()) -> Condition:
        """The condition with what the network computes of it and of the walk's times alone: once for all steps."""
        condition = self._cast(condition)
        prepare = getattr(self.module, "prepare", None)
        return condition if prepare is None else cast(Condition, prepare(condition, times=times))

    def __call__(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The network's raw output, in what the network computes in."""
        output = self.module(x_BCHW.to(self.compute.dtype), t_B, self._cast(condition))
        assert isinstance(output, Tensor)
        return output

    def _cast(self, condition: Condition) -> Condition:
        """In the network's type; the condition itself, with its memory, where it is already."""
        dtype = self.compute.dtype
        if all(slot.dtype == dtype for slot in condition.filled().values() if slot.is_floating_point()):
            return condition
        return condition.map(lambda slot: slot.to(dtype) if slot.is_floating_point() else slot)


@dataclass
class ReadyNetworks:
    """What was made ready of one network, made anew where its weights have changed."""

    _kept: dict[Any, tuple[Any, ReadyNetwork]] = field(default_factory=dict)

    def of(self, network: nn.Module, *, precision: Any) -> ReadyNetwork:
        """The network, ready to compute in this precision."""
        compute = chosen_compute(precision, network)
        state = _state(network)
        known, ready = self._kept.get(compute, (None, None))
        if ready is None or known != state:
            ready = ReadyNetwork(prepared(network, compute), compute)
            self._kept = {compute: (state, ready)}  # one at a time: each may be as large as the network
        return ready


def _state(network: nn.Module) -> tuple[Any, ...]:
    """What changes where a weight does: where each lies, and how often it was written to."""
    weights = (*network.parameters(), *network.buffers())
    return (id(network), *((weight.data_ptr(), weight._version) for weight in weights))
