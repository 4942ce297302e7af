"""The laws of backbones, on one right network and on mistakes made in it. Legend: B batch, C, H, W, D, L tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.condition import Condition
from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo


class Small(Backbone):
    """A convolution that adds what it is told, right or with one mistake."""

    name = "small"

    mistake: str = ""
    """Which."""

    @property
    def downsampling(self) -> int:
        return 0 if self.mistake == "no downsampling" else 1

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        if self.mistake == "refuses everything":
            raise ValueError("no")
        if self.mistake == "no module":
            return lambda x, t, condition: x  # type: ignore[return-value]
        return Net(space, condition, 2 if self.learn_variance else 1, self.mistake)


class Net(nn.Module):
    def __init__(self, space: SpaceInfo, info: ConditionInfo, times: int, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        channels = space.channels * times
        if mistake == "one channel too many":
            channels += 1
        if mistake == "forgets the variance":
            channels = space.channels
        self.first = nn.Conv2d(space.channels + info.concat, 8, 3, padding=1)
        self.time = nn.Linear(1, 8)
        self.classes = nn.Embedding(info.classes, 8) if info.classes else None
        self.vector = nn.Linear(info.vector, 8) if info.vector else None
        self.tokens = nn.Linear(info.tokens, 8) if info.tokens else None
        self.last = nn.Conv2d(8, channels, 3, padding=1, stride=2 if mistake == "half the size" else 1)
        if mistake == "an idle layer":
            self.idle = nn.Linear(3, 3)
        if mistake == "a weight outside state_dict":
            self.__dict__["hidden"] = torch.randn(1)
        if mistake == "unseeded weights":
            nn.init.normal_(self.last.weight, generator=torch.Generator().manual_seed(next(SEEDS)))
        if mistake == "a mean over the batch":
            self.mean = nn.Identity()

    def forward(self, x: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        bug = self.mistake
        if bug == "works in place":
            x.mul_(2)
        dtype = torch.float32 if bug == "float32 only" else x.dtype
        if condition.concat_BCHW is not None:
            x = torch.cat([x, condition.concat_BCHW], 1)
        if bug == "float32 only":
            x = x.float().to(self.first.weight.dtype)
        emb = 0 if bug == "ignores t" else self.time((t_B / 100).to(x.dtype)[:, None]).sin()
        if self.classes is not None and bug != "ignores classes":
            emb = emb + self.classes(condition.class_B)
        if self.vector is not None and bug != "ignores the vector":
            emb = emb + self.vector(condition.vector_BD)
        if self.tokens is not None:
            emb = emb + self.attended(condition)
        if bug == "a note in the module":
            self.__dict__["seen"] = x.mean()
        h = self.first(x)
        if bug == "a note in the module":
            h = h + self.__dict__["seen"]
        h = functional.silu(h + emb[:, :, None, None] if isinstance(emb, Tensor) else h)
        if bug == "dropout while evaluating":
            h = functional.dropout(h, 0.5, training=True)
        if bug == "a mean over the batch":
            h = h - h.mean(0, keepdim=True)
        if bug == "a weight outside state_dict":
            h = h + self.__dict__["hidden"].to(h.dtype)
        out: Tensor = self.last(h)
        if bug == "float64 out":
            out = out.double()
        return out.to(dtype) if bug == "float32 only" else out

    def attended(self, condition: Condition) -> Tensor:
        assert self.tokens is not None
        assert condition.tokens_BLD is not None
        values = self.tokens(condition.tokens_BLD)
        if condition.mask_BL is None or self.mistake == "ignores the mask":
            return values.mean(1)  # type: ignore[no-any-return]
        weight = condition.mask_BL.to(values.dtype)[..., None]
        return (values * weight).sum(1) / weight.sum(1)  # type: ignore[no-any-return]


SEEDS = iter(range(1000))


def test_a_right_backbone_passes(passes: Callable[..., None]) -> None:
    passes(Small)


class Picky(Small):
    """Reads classes only, on squares only."""

    name = "picky"

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        if condition.vector or condition.tokens or condition.concat or space.height != space.width:
            raise ValueError("classes and squares only")
        return super().build(space=space, condition=condition)


def test_a_backbone_that_refuses_properly_passes(passes: Callable[..., None]) -> None:
    passes(Picky)


class Blunt(Small):
    """Refuses tokens by a TypeError."""

    name = "blunt"

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        if condition.tokens:
            raise TypeError("tokens?")
        return super().build(space=space, condition=condition)


def test_a_refusal_by_another_error_is_caught(check_component: Any) -> None:
    failures = {failure.check: failure.message for failure in check_component(Blunt)}
    assert failures["builds"].startswith("raised TypeError: tokens?")


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("a note in the module", "threads_share_it"),
        ("refuses everything", "builds"),
        ("no module", "builds"),
        ("no downsampling", "builds"),
        ("one channel too many", "gives_the_space_s_shape"),
        ("half the size", "gives_the_space_s_shape"),
        ("forgets the variance", "gives_the_space_s_shape"),
        ("works in place", "gives_the_space_s_shape"),
        ("float64 out", "gives_the_space_s_shape"),
        ("float32 only", "rows_are_independent"),
        ("a mean over the batch", "rows_are_independent"),
        ("ignores t", "reads_all_its_inputs"),
        ("ignores classes", "reads_all_its_inputs"),
        ("ignores the vector", "reads_all_its_inputs"),
        ("ignores the mask", "ignores_masked_tokens"),
        ("an idle layer", "trains_every_weight"),
        ("dropout while evaluating", "evaluates_alike_twice"),
        ("a weight outside state_dict", "is_told_by_seed_and_weights"),
        ("unseeded weights", "is_told_by_seed_and_weights"),
    ],
)
def test_a_mistake_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Small, mistake=mistake)
