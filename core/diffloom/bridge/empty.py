"""Modules without memory for their weights, to be filled tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from diffloom.nn.initial import Unfilled


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
        # Tensors without memory would take no numbers in any case, but torch imports its compiler, and half a second
        # of algebra with it, to find out.
        with Unfilled(lambda tensor: tensor.is_meta):
            yield
    finally:
        handle.remove()
