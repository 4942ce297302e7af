"""A walk's surroundings for a classifier by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Guide
from diffloom.process import Aims, Denoised, Level, LinearSchedule, Model, Steered, under

Denoise = Callable[[Tensor, Level, Condition], Denoised]


@pytest.fixture
def steered() -> Callable[[Guide, Denoise, Condition, Condition], Steered]:
    """`steered(guide, denoise, condition, null)`: the guided denoiser of one walk."""

    def steer(guide: Guide, denoise: Denoise, condition: Condition, null: Condition) -> Steered:
        aims = Aims(condition=condition, null=null)
        model = Model(
            under=under(denoise),
            backbone=nn.Identity(),
            schedule=LinearSchedule().build(),
            space=nn.Identity(),
            space_shape=(2, 4, 4),
            conditioners={},
        )
        return Steered(aims, model, guide(aims, model))

    return steer
