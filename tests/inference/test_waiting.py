"""Nothing waits for the device inside the loop. The oracle is every operation that a step asks of torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.inference import ReadyNetwork
from diffloom.testing.waits import Wait, Waits


def waits(work: Callable[[], object]) -> list[Wait]:
    with Waits() as mode:
        work()
    return mode.found


IN_PART = {"type": "classifier_free", "scale": 2.0, "interval": [0.4, 2.0]}
"""Guidance that begins and ends within the walk, so that the rows of a call change twice."""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("guidance", [1.0, 2.0, IN_PART], ids=["none", "everywhere", "in part"])
def test_a_step_waits_for_nothing(small_model: Pipeline, precision: str, guidance: Any) -> None:
    document = small_model.document
    sampling = document.sampling.model_copy(update={"precision": precision})
    pipe = Pipeline(
        document.model_copy(update={"sampling": sampling}), small_model.module, small_model.process
    )
    rows: list[int] = []
    steps = pipe.stream(label=[3, 4], steps=6, guidance=guidance)
    hook = pipe.ready(sampling).module.register_forward_hook(
        lambda _, inputs, __: rows.append(len(inputs[0]))
    )
    next(steps)
    found = waits(lambda: list(steps))
    hook.remove()
    assert found == []
    assert set(rows) == ({2, 4} if guidance is IN_PART else {2} if guidance == 1.0 else {4})


@pytest.mark.parametrize("guidance", [2.0, IN_PART], ids=["everywhere", "in part"])
def test_conditions_are_prepared_before_the_first_step(
    small_model: Pipeline, guidance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each number of rows that the walk will ask with, and for no other."""
    prepared: list[int] = []
    prepare = ReadyNetwork.prepare

    def noted(self: ReadyNetwork, condition: Condition, times: Sequence[float] = ()) -> Condition:
        prepared.append(len(condition.filled()["class_B"]))
        return prepare(self, condition, times)

    monkeypatch.setattr(ReadyNetwork, "prepare", noted)
    steps = small_model.stream(label=[3, 4], steps=6, guidance=guidance)
    next(steps)
    known = sorted(prepared)
    list(steps)
    assert sorted(prepared) == known == ([2, 4] if guidance is IN_PART else [4])


def test_the_oracle_sees_what_waits() -> None:
    x = torch.ones(3)
    found = waits(lambda: (float(x[0]), bool(x[0] > 0), torch.tensor([1.0]), x.nonzero()))
    assert len(found) >= 4
    assert {wait.asker for wait in found} == {""}, "none of diffloom's functions asked"


def test_the_oracle_leaves_out_what_is_the_host_s() -> None:
    assert waits(lambda: float(torch.ones(3, dtype=torch.float64)[0])) == []
