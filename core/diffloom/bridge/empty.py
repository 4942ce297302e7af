"""Modules without memory for their weights, to be filled tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn import init
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

FILLING = frozenset(name for name in dir(init) if name.endswith("_") and not name.startswith("_"))
"""What gives a tensor its first numbers: `normal_`, `kaiming_uniform_`, `zeros_`, …"""


class _Unfilled(TorchFunctionMode):
    """While entered, a tensor without memory is given no numbers.

    It would take none in any case, but torch imports its compiler, and half a second of algebra with it, to find out.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in FILLING:
            filled = args[0] if args else kwargs["tensor"]
            if isinstance(filled, Tensor) and filled.is_meta:
                return filled
        return func(*args, **kwargs)


@contextmanager
def empty_weights() -> Iterator[None]:
    """Within, parameters are made on the meta device, so that building takes neither memory nor random numbers.

    Buffers are real: those that a state dict does not hold (masks, ids) are computed when a module is built.
    """

    def without_memory(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or parameter.is_meta:
            return None
        return nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(
        without_memory  # type: ignore[arg-type]  # torch says None, and takes the parameter that a hook returns
    )
    try:
        with _Unfilled():
            yield
    finally:
        handle.remove()
