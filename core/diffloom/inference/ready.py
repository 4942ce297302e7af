"""Networks that are ready, kept while their weights stay. Legend: B batch, C channels, H height, W width, K levels."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.inference.compute import Compute, Precision, chosen_compute, own_type
from diffloom.inference.prepared import prepared
from diffloom.inference.products import products
from diffloom.inference.snapshot import Snapshot
from diffloom.kinds import Network

logger = logging.getLogger("diffloom")


@dataclass(frozen=True)
class ReadyNetwork:
    """A network that draws samples."""

    module: nn.Module
    compute: Compute
    instead: Network | None = None
    """What is called in the module's place."""

    def prepare(self, condition: Condition, times: Sequence[float] = ()) -> Condition:
        """The condition with what the network computes of it and of the walk's times alone: once for all steps."""
        condition = self._cast(condition)
        prepare = getattr(self.module, "prepare", None)
        return condition if prepare is None else cast(Condition, prepare(condition, times=times))

    def __call__(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The network's raw output, in what the network computes in; its last layer's may be float32."""
        if torch.is_inference_mode_enabled():
            # What parts keep of a call, such as sorted weights, serves later ones, which may want gradients.
            with torch.inference_mode(False), torch.no_grad():
                return self(x_BCHW, t_B, condition)
        layout = torch.channels_last if self.compute.channels_last else torch.preserve_format
        x_BCHW = x_BCHW.to(self.compute.dtype, memory_format=layout)
        if self.compute.compiled == "graphs":
            # Nothing of the last call is used any more.
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with products(tf32=self.compute.tf32):
            output = (self.instead or self.module)(x_BCHW, t_B, self._cast(condition))
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
    """What was made ready of a network, made anew where that is no longer the same. Threads may share it."""

    _kept: tuple[Compute, Snapshot, ReadyNetwork] | None = None
    _users: int = 0
    # entered again where, within it, the garbage collector ends a walk that somebody left
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __reduce__(self) -> tuple[type[ReadyNetworks], tuple[()]]:
        """A copy of it, and what is unpickled of it, begins anew: a model's copy has weights of its own."""
        return ReadyNetworks, ()

    def of(
        self,
        network: nn.Module,
        *,
        precision: Precision,
        device: torch.device | None = None,
        compiles: bool = False,
        remembers: bool = False,
    ) -> ReadyNetwork:
        """The network, ready to compute in this precision: on a device, or where it is; the rest is `chosen_compute`'s.

        One copy is kept, which may be as large as the network: it goes before another is made.
        """
        compute = chosen_compute(precision, network, device=device, compiles=compiles, remembers=remembers)
        with self._lock:
            if self._kept is not None:
                made_for, snapshot, ready = self._kept
                if made_for == compute and snapshot.is_of(network):
                    return ready
                self._kept = None
                del ready
            module = prepared(network, compute)
            if precision == "auto" and compute.is_half and compute.dtype != own_type(network):
                logger.info(
                    "sampling.precision: auto is %s for this network on this device; fp32 is exact",
                    compute.precision,
                )
            ready = ReadyNetwork(module, compute)
            if module is not network:
                self._kept = (compute, Snapshot(network), ready)
            return ready

    @contextmanager
    def used(self, *, leaves: bool) -> Iterator[None]:
        """Within it the copy is in use; where it then `leaves`, it is forgotten when nobody uses it any more."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if leaves and self._users == 0:
                    self._kept = None

    def forget(self) -> None:
        """Give the memory of what was made ready free."""
        with self._lock:
            self._kept = None
