"""The law of `prepare`, on one right backbone and on mistakes made in it. Legend: B batch, D width, L tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo

LAW = "prepares_without_a_trace"


class Mean(Backbone):
    """Adds the mean of the projected tokens, which it can know beforehand; right or with one mistake."""

    name = "mean"

    mistake: str = ""
    """Which."""

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        if not condition.tokens or condition.classes or condition.vector or condition.concat:
            raise ValueError("tokens only")
        return Net(
            space.channels * (2 if self.learn_variance else 1), space.channels, condition, self.mistake
        )


class Net(nn.Module):
    def __init__(self, out: int, channels: int, info: ConditionInfo, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        self.picture = nn.Conv2d(channels, out, 3, padding=1)
        self.time = nn.Linear(1, out)
        self.tokens = nn.Linear(info.tokens, out)
        self.kept: Tensor | None = None

    def mean(self, condition: Condition) -> Tensor:
        assert condition.tokens_BLD is not None
        values_BLD: Tensor = self.tokens(condition.tokens_BLD)
        if condition.mask_BL is None:
            return values_BLD.mean(1)
        weight_BL1 = condition.mask_BL.to(values_BLD.dtype)[..., None]
        return (values_BLD * weight_BL1).sum(1) / weight_BL1.sum(1)

    def prepare(self, condition: Condition, *, times: Sequence[float] = ()) -> Any:
        mean = self.mean(condition)
        if self.mistake == "keeps it in the module":
            self.kept = mean
        if self.mistake == "another number":
            mean = mean + 1e-3
        if self.mistake == "gives the memory alone":
            return {self: (mean,)}
        if self.mistake == "drops a slot":
            return Condition(memory={self: (mean,)})
        if self.mistake == "takes one time for all" and times:
            return replace(condition, memory={self: (mean, Tensor([times[-1]]))})
        return replace(condition, memory={self: (mean,)})

    def forward(self, x: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        mean = condition.memory[self][0] if self in condition.memory else self.mean(condition)
        if self.kept is not None:
            mean = self.kept
        if len(condition.memory.get(self, ())) > 1:
            t_B = condition.memory[self][1].expand(len(x))
        emb = self.time((t_B / 100).to(x.dtype)[:, None]).sin() + mean
        out: Tensor = self.picture(x) + emb[:, :, None, None]
        return out


def test_a_backbone_that_prepares_properly_passes(passes: Callable[..., None]) -> None:
    passes(Mean)


@pytest.mark.parametrize(
    "mistake",
    [
        "keeps it in the module",
        "another number",
        "gives the memory alone",
        "drops a slot",
        "takes one time for all",
    ],
)
def test_a_mistake_is_caught(caught: Callable[..., None], mistake: str) -> None:
    caught(LAW, Mean, mistake=mistake)


class Forgetful(Mean):
    """Reads tokens and the class beside them, and forgets the class."""

    name = "forgetful"

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        if not condition.tokens:
            raise ValueError("tokens, and whatever else")
        return Net(space.channels, space.channels, condition, self.mistake)


def test_every_slot_is_examined_beside_the_others(caught: Callable[..., None]) -> None:
    caught("reads_all_its_inputs", Forgetful)
