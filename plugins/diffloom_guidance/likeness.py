"""Whether two models can be mixed: their predictions must be of the same x₀ at the same x_t."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from diffloom.kinds import Conditioner, NoiseSchedule
from diffloom.process import Model

if TYPE_CHECKING:
    from diffloom import Pipeline


def same_space(pipeline: Pipeline, model: Model) -> bool:
    """Whether both diffuse pictures of one shape, made by one autoencoder where there is any."""
    if pipeline.document.space_info.shape != model.space_shape:
        return False
    one, other = pipeline.module["space"].state_dict(), model.space.state_dict()
    return one.keys() == other.keys() and all(
        one[name].shape == other[name].shape and torch.equal(one[name].to(other[name]), other[name])
        for name in one
    )


def same_schedule(one: NoiseSchedule, other: NoiseSchedule) -> bool:
    """Whether both have the same times, and the same levels there, on a hundred times of the axis."""
    if one.axis != other.axis:
        return False
    times = torch.linspace(one.axis.first, one.axis.last, 100, dtype=torch.float64)
    pairs = [(one.alpha(times), other.alpha(times)), (one.sigma(times), other.sigma(times))]
    return all(torch.allclose(mine, theirs, rtol=1e-6, atol=1e-9) for mine, theirs in pairs)


def without_dropout(conditioner: Conditioner | None) -> Conditioner | None:
    """The conditioner but for how often training leaves it out, which does not change what it says."""
    return conditioner and conditioner.model_copy(update={"dropout": 0.0})
