"""Nothing waits for the device inside the loop. The oracle is every operation that a step asks of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from diffloom import Pipeline

WAITING = {
    "_local_scalar_dense": "reads a number",
    "is_nonzero": "asks a tensor whether it is true",
    "nonzero": "makes a shape of numbers",
    "masked_select": "makes a shape of numbers",
    "lift_fresh": "makes a tensor of a list",
    "equal": "compares whole tensors",
}
"""Operations for which a program on a GPU waits until it has computed what was asked before."""


class Waits(TorchDispatchMode):
    """Notes them, but for those of float64: coefficients, which are the host's and computed once."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        on_host = any(isinstance(arg, torch.Tensor) and arg.dtype == torch.float64 for arg in args)
        if name in WAITING and not on_host:
            self.found.append(f"{name} {WAITING[name]}")
        return func(*args, **(kwargs or {}))


def waits(work: Callable[[], object]) -> list[str]:
    with Waits() as mode:
        work()
    return mode.found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_step_waits_for_nothing(small_model: Pipeline, precision: str, guidance: float) -> None:
    document = small_model.document
    sampling = document.sampling.model_copy(update={"precision": precision})
    pipe = Pipeline(
        document.model_copy(update={"sampling": sampling}), small_model.module, small_model.process
    )
    steps = pipe.stream(label=[3, 4], steps=4, guidance=guidance)
    next(steps)
    assert waits(lambda: list(steps)) == []


def test_the_oracle_sees_what_waits() -> None:
    x = torch.ones(3)
    assert len(waits(lambda: (float(x[0]), bool(x[0] > 0), torch.tensor([1.0]), x.nonzero()))) >= 4
