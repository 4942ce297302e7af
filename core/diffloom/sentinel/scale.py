"""The scale of what is diffused. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from diffloom.latents.moments import Moments
from diffloom.latents.unit_scale import HIGHEST, LOWEST
from diffloom.sentinel.finding import Alarm
from diffloom.sentinel.look import Look
from diffloom.training.diffusion import DiffusionTask


class Scale:
    """Watches x₀. Pictures in [−1, 1] cannot vary by more than 1; latents should vary by about 1, which noise schedules
    are made for, or by the deviation that the prediction is preconditioned for (Karras et al. 2022: 0.5)."""

    def __init__(self, task: DiffusionTask) -> None:
        self._task = task
        self._moments = Moments(task.pipeline.document.space_info.channels)

    @torch.no_grad()
    def look(self, look: Look) -> dict[str, float]:
        """Take in the examples as training sees them."""
        self._moments.add(self._task.x0(look.batch, look.draws))
        return {}

    def judged(self, look: Look) -> Iterator[Alarm]:
        """What all looks together show."""
        document, std = self._task.pipeline.document, self._moments.pooled_std
        due = document.prediction.data_std
        lowest, highest = LOWEST * min(due, 1.0), HIGHEST * max(due, 1.0)
        each = ", ".join(f"{one:.3g}" for one in self._moments.std)
        if document.space.lossless:
            if std > highest:
                yield Alarm(
                    "pictures-unscaled",
                    f"data: pictures have a standard deviation of {std:.3g} (by channel {each}), and values belong in "
                    "[-1, 1]; look at what the data make of them",
                    figure=std,
                )
        elif not lowest <= std <= highest:
            yield Alarm(
                "latents-unscaled",
                f"space: latents have a standard deviation of {std:.3g} (by channel {each}), and the noise schedule is "
                "made for 1; measure and store it with `diffloom calibrate`, or set the autoencoder's published "
                "space.scale",
                figure=max(std, 1 / max(std, 1e-9)),
            )
