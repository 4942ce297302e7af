"""How many bytes of tensors there are at each moment, and the most there were."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

REST = "activations"
"""What nothing else was said of: results that are kept for the way back, and those in between."""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's metaclass hook is untyped
    """While entered, counts the memory of every tensor on a device that an operation takes or gives.

    A tensor's memory begins where it is first met and ends where the last tensor that shares it is gone, so the count
    is exact for what torch's operations give each other; what one of them needs inside for a moment is not seen. It
    counts tensors without memory (`torch._subclasses.FakeTensor`) as if they had theirs.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device.type
        self._live: Counter[str] = Counter()
        self._kinds: dict[int, str] = {}  # by the identity of a memory that is alive
        self._born = REST
        self.peak: Mapping[str, int] = {}
        """Bytes by kind at the moment when they were the most."""

    @property
    def peak_bytes(self) -> int:
        """The most bytes there were at once."""
        return sum(self.peak.values())

    @property
    def live_bytes(self) -> int:
        """Bytes there are."""
        return sum(self._live.values())

    def begin_anew(self) -> None:
        """Forget the peak so far."""
        self.peak = dict(self._live)

    def name(self, kind: str, tensors: Iterable[Tensor]) -> None:
        """Call the memory of these tensors by a name; it is counted from here on where it was not yet."""
        for tensor in tensors:
            self._meet(tensor)
            if (key := id(tensor.untyped_storage())) in self._kinds:
                size = tensor.untyped_storage().nbytes()
                self._live[self._kinds[key]] -= size
                self._live[kind] += size
                self._kinds[key] = kind

    @contextmanager
    def naming(self, kind: str) -> Iterator[None]:
        """While entered, memory that is met for the first time is called by a name."""
        former, self._born = self._born, kind
        try:
            yield
        finally:
            self._born = former

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if isinstance(leaf, Tensor):
                self._meet(leaf)
        return out

    def _meet(self, tensor: Tensor) -> None:
        if tensor.device.type != self._device or tensor.layout != torch.strided:
            return
        memory = tensor.untyped_storage()
        key, size = id(memory), memory.nbytes()
        if key in self._kinds:
            return
        self._kinds[key] = self._born
        self._live[self._born] += size
        weakref.finalize(memory, self._forget, key, size)
        if self.live_bytes > self.peak_bytes:
            self.peak = dict(self._live)

    def _forget(self, key: int, size: int) -> None:
        self._live[self._kinds.pop(key)] -= size
