"""A walk's surroundings for guidance by itself, without a model from a file.

Legend: B batch, C channels, H height, W width, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Correct, Guide, NoiseSchedule
from diffloom.process import Aims, Denoised, Level, LinearSchedule, Model, Steered, under

Denoise = Callable[[Tensor, Level, Condition], Denoised]


def rows_of(*values: float) -> Condition:
    """A condition with a class id and tokens of this value for each row."""
    rows = torch.tensor(values, dtype=torch.float64)
    return Condition(class_B=rows.long(), tokens_BLD=rows.view(-1, 1, 1).expand(-1, 5, 2))


class Network:
    """Nonlinear in x and the condition, row by row; notes the classes of every call."""

    def __init__(self, *, learns_variance: bool = False) -> None:
        self.learns_variance = learns_variance
        self.calls: list[list[int]] = []

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        assert condition.class_B is not None
        assert condition.tokens_BLD is not None
        self.calls.append(condition.class_B.tolist())
        output = torch.tanh(x * condition.tokens_BLD.mean((1, 2)).view(-1, 1, 1, 1) / 3 + 0.1)
        return torch.cat([output, output.exp()], 1) if self.learns_variance else output


def steer(
    guide: Guide,
    denoise: Denoise,
    condition: Condition,
    null: Condition,
    *,
    others: Sequence[tuple[float, Condition]] = (),
    corrections: Sequence[Correct] = (),
    backbone: nn.Module | None = None,
    schedule: NoiseSchedule | None = None,
) -> Steered:
    """The guided denoiser of one walk."""
    aims = Aims(condition=condition, null=null, others=tuple(others))
    model = Model(
        under=under(denoise),
        backbone=backbone or nn.Identity(),
        schedule=schedule or LinearSchedule().build(),
        space=nn.Identity(),
        space_shape=(2, 4, 4),
        conditioners={},
    )
    return Steered(aims, model, guide(aims, model), corrections)


@pytest.fixture
def steered() -> Callable[..., Steered]:
    """`steered(guide, denoise, condition, null, ...)`: see `steer`."""
    return steer


@pytest.fixture
def network() -> type[Network]:
    """A small network, to be made with or without a learned variance."""
    return Network


@pytest.fixture
def asked() -> Condition:
    """What three samples ask for."""
    return rows_of(1, 2, 3)


@pytest.fixture
def null() -> Condition:
    """The null condition of three samples."""
    return rows_of(9, 9, 9)


@pytest.fixture
def rows() -> Callable[..., Condition]:
    """`rows(1, 2)`: a condition of two rows."""
    return rows_of
