"""Caching on a walk. Oracles: a way of remembering that writes down what it is asked, and the walk without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from pydantic import PrivateAttr
from torch import Tensor, nn

from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.errors import ConfigError
from diffloom.inversion import Inversion
from diffloom.kinds import Caching, Network, Remembering
from diffloom.nn import TimestepMLP, the_time
from diffloom.request import Request
from diffloom.sampling import SamplingPlan


@dataclass
class Noting:
    """The network itself; notes what it is asked."""

    network: nn.Module
    times: Sequence[float]
    asked: list[tuple[float, int]] = field(default_factory=list)

    def at(self, t: float) -> Network:
        def network(x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
            assert bool((t_B == t).all())
            self.asked.append((t, len(x_BCHW)))
            return self.network(x_BCHW, t_B, condition)  # type: ignore[no-any-return]

        return network


class Notes(Caching):
    """Remembers nothing."""

    name: ClassVar[str] = "notes"
    canonical: ClassVar[str] = "tests/notes"
    _made: list[Noting] = PrivateAttr(default_factory=list)

    def build(self, network: nn.Module, *, times: Sequence[float]) -> Remembering:
        self._made.append(Noting(network, times))
        return self._made[-1]


class Refusing(Caching):
    name: ClassVar[str] = "refusing"
    canonical: ClassVar[str] = "tests/refusing"

    def build(self, network: nn.Module, *, times: Sequence[float]) -> Remembering:
        raise ValueError("there is nothing to leave out")


def plan(pipe: Pipeline, part: Caching, **asked: Any) -> SamplingPlan:
    """What `sample` would draw with this part in the configuration."""
    found = Request(count=None, **asked).plan(pipe)
    return replace(found, section=found.section.model_copy(update={"caching": part}))


def drawn(plan: SamplingPlan) -> Tensor:
    *_, last = plan.stream()
    return last.following_BCHW


def test_what_a_walk_remembers_is_its_own_and_its_condition_s(small_model: Pipeline) -> None:
    """Two walks; guided, the conditional half with the null half, under one stacked condition."""
    notes = Notes()
    asked = {"conditions": {"label": [3, 4]}, "seed": 1, "steps": 4, "guidance": 2.0}
    found = [drawn(plan(small_model, notes, **asked)) for _ in range(2)]
    wanted = drawn(Request(count=None, **asked).plan(small_model))
    for x_BCHW in found:
        torch.testing.assert_close(x_BCHW, wanted, rtol=0, atol=0)
    first, second = notes._made
    times = [999.0, 749.0, 499.0, 249.0]
    assert first.asked == second.asked == [(t, 4) for t in times]
    assert list(first.times) == times
    assert first.network is small_model.ready(small_model.document.sampling).module


def test_each_condition_of_a_walk_remembers_by_itself(small_model: Pipeline) -> None:
    """Guidance in an interval: outside it the condition is asked alone, and is no part of the stack inside."""
    notes = Notes()
    guidance = {"type": "classifier_free", "scale": 2.0, "interval": [0.4, 0.8]}
    drawn(plan(small_model, notes, conditions={"label": [3, 4]}, steps=8, guidance=guidance))
    rows = [{count for _, count in one.asked} for one in notes._made]
    assert sorted(rows, key=sorted) == [{2}, {4}]
    assert sum(len(one.asked) for one in notes._made) == 8


def test_inversion_is_not_told_what_was_remembered(small_model: Pipeline) -> None:
    notes = Notes()
    start = torch.zeros(1, 1, 8, 8)
    inversion = Inversion(iterations=1)
    drawn(plan(small_model, notes, conditions={"label": 3}, steps=2, sampler=inversion, start_BCHW=start))
    assert notes._made == []


def test_a_network_with_nothing_to_leave_out_is_one_error_before_the_first_step(
    small_model: Pipeline,
) -> None:
    with pytest.raises(ConfigError, match=r"sampling\.caching: there is nothing to leave out"):
        plan(small_model, Refusing(), conditions={"label": 3}, steps=4).stream()


def test_no_step_reads_its_time_or_embeds_it(small_model: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, whose tensors nobody may read: the walk says its times, and their embeddings are there."""
    steps = small_model.stream(label=[3, 4], steps=5, guidance=2.0)
    first = next(steps)

    def forbidden(*_: object) -> None:
        raise AssertionError("not in a step")

    monkeypatch.setattr(TimestepMLP, "forward", forbidden)
    monkeypatch.setattr(Tensor, "tolist", forbidden)
    *_, last = steps
    monkeypatch.undo()
    assert last.index == first.index + 4
    *_, again = small_model.stream(label=[3, 4], steps=5, guidance=2.0)
    assert torch.equal(last.following_BCHW, again.following_BCHW)


def test_a_time_is_as_float32_has_it_and_read_only_where_that_is_free() -> None:
    told, unknown = Condition(time=0.1), Condition()
    on_device = torch.full((3,), 0.1, device="meta")
    assert the_time(on_device, told) == the_time(torch.full((3,), 0.1), unknown) == pytest.approx(0.1)
    assert the_time(on_device, told) == torch.tensor(0.1).item() != 0.1
    assert the_time(on_device, unknown) is None
    assert the_time(torch.tensor([1.0, 2.0]), unknown) is None
    assert "time" not in told.filled()
