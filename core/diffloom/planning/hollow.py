"""Networks without memory for their weights, that compute shapes in place of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from diffloom.nn import Dropout

SHAPED_LIKE = {"mkldnn._reorder_convolution_weight.default": 0, "mkldnn._convolution_pointwise.binary": 1}
"""Operators of which torch does not know the result's shape without computing it, and whose argument has that shape: a
weight sorted anew, and the picture that a convolution is added to."""


class Hollow:
    """Makes tensors that have shape, type and place, and neither memory nor numbers.

    What is computed with one is another, at once and for nothing, and takes torch's own ways of computing on its
    device. What needs none stays as it is: times, noise, class ids.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)

    def tensor(
        self, shape: Sequence[int], dtype: torch.dtype = torch.float32, *, host: bool = False
    ) -> Tensor:
        """A tensor of this shape on the device, or (`host`) in the memory that programs and data are in."""
        with self._mode:
            return torch.empty(tuple(shape), dtype=dtype, device="cpu" if host else self.device)

    def fill(self, module: nn.Module, *, host: bool = False) -> None:
        """Give a module that was built without memory (`empty_weights`) such weights, on the device or in the memory
        that programs are in (`host`); its buffers are moved."""
        made: dict[nn.Parameter, nn.Parameter] = {}  # a weight that two modules share stays one
        for part in module.modules():
            for name, weight in part.named_parameters(recurse=False, remove_duplicate=False):
                if weight not in made:
                    empty = self.tensor(weight.shape, weight.dtype, host=host)
                    made[weight] = nn.Parameter(empty, requires_grad=weight.requires_grad)
                part.register_parameter(name, made[weight])
            for name, buffer in part.named_buffers(recurse=False):
                part._buffers[name] = buffer.to("cpu" if host else self.device)

    @contextmanager
    def masks(self, module: nn.Module) -> Iterator[None]:
        """While entered, a module's dropout makes masks without memory too."""
        layers = [part for part in module.modules() if isinstance(part, Dropout)]
        handles = [layer.register_forward_pre_hook(self._hollow_keys) for layer in layers]
        try:
            yield
        finally:
            for layer, handle in zip(layers, handles, strict=True):
                handle.remove()
                layer.keys_B = None

    def _hollow_keys(self, layer: nn.Module, args: tuple[Any, ...]) -> None:
        assert isinstance(layer, Dropout)
        if layer.keys_B is not None:
            layer.keys_B = self._mode.from_tensor(layer.keys_B)


class Answers(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's metaclass hook is untyped
    """While entered, whoever asks a hollow tensor for its number is told 0: no error, no overflow, no difference.

    So a program that decides by numbers is followed on the way it takes when all is well.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if args and isinstance(args[0], FakeTensor):
            if func is torch.ops.aten._local_scalar_dense.default:
                return torch.zeros((), dtype=args[0].dtype).item()
            if (like := SHAPED_LIKE.get(str(func))) is not None:
                return torch.empty_like(args[like])
        return func(*args, **(kwargs or {}))
