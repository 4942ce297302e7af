"""Kind `backbone`: the network (x_t, t, condition) → output."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds.component import Component
from diffloom.kinds.info import ConditionInfo, SpaceInfo
from diffloom.kinds.weighted import Weighted

if TYPE_CHECKING:
    from torch import nn


class Backbone(Weighted, Component):
    """The denoising network.

    The module is called as `module(x_BCHW, t_B, condition)`: t_B is float32 in the schedule's own times, `condition` a
    `diffloom.condition.Condition`. It takes C channels, or 2·C when `self_conditioning` is on: x_t, then the last
    prediction of x₀, zeros at first. It returns C channels, or 2·C when `learn_variance` is on. Threads call
    it at the same time, each with some of a batch's rows, so that no call keeps notes in the module.

    A module may have a method `prepare(condition, *, times=()) -> Condition`, which is called once before a walk over
    these times and gives the same condition with its `memory` filled: what the network computes of it and of the times
    alone, such as the keys and values of texts. The output is the same with a prepared condition as without, and at
    other times too. It may have an attribute `depths: int` and take an argument `deep`, by name, where it can be
    divided in an outside and an inside that need not be computed at every call: `diffloom.nn.Deep` says how. It may
    have a method `bind(process)`, which is called once when the model is put together: for a network that is a formula
    of the schedule and the prediction. It and any module inside it may have a method `no_decay() -> Collection[str]`:
    those of its parameters, by their names in it, that weight decay is not for though they have two dimensions or more,
    such as a table of learned positions. Likewise `keeps_float32() -> Collection[str]` names parts that stay in float32
    where the network draws samples in half precision, and `for_inference() -> nn.Module` gives a form of the module
    that computes the same from the same weights faster, for samples alone: `diffloom.inference` says when.
    """

    kind: ClassVar[str] = "backbone"

    learn_variance: bool = False
    """Output twice the channels: the prediction, then the variance. Needed by learned variances."""

    self_conditioning: bool = False
    """Take twice the channels: x_t, then what was last predicted of x₀ (Chen et al. 2022, section 3.2). Needed by
    objectives that train it."""

    @property
    def downsampling(self) -> int:
        """The factor that height and width must be divisible by; known without building."""
        return 1

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
        """Raises ValueError for a space or conditions that `build` would refuse.

        Needs no torch, so that `diffloom config check` can tell. Called only for spaces that `downsampling` divides.
        """

    @abstractmethod
    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        """The network for this space and these conditions. Raises ValueError for slots it cannot use."""
