"""Nothing waits for the device inside the loop. The oracle is every operation that a step asks of torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from diffloom import Pipeline
from diffloom.testing.waits import Wait, Waits


def waits(work: Callable[[], object]) -> list[Wait]:
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
    found = waits(lambda: (float(x[0]), bool(x[0] > 0), torch.tensor([1.0]), x.nonzero()))
    assert len(found) >= 4
    assert {wait.asker for wait in found} == {""}, "none of diffloom's functions asked"


def test_the_oracle_leaves_out_what_is_the_host_s() -> None:
    assert waits(lambda: float(torch.ones(3, dtype=torch.float64)[0])) == []
