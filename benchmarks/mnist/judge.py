"""How good a model of MNIST is on digits it has not seen. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffloom import Pipeline
from diffloom.likelihood import picture_bits
from diffloom.process import Draws

BATCH = 250
BITS = 32
"""How many digits' bits are counted: each costs a thousand network calls."""


@dataclass(frozen=True)
class Figures:
    """What held-out digits cost."""

    l_simple: float
    """Mean squared error of the predicted noise (Ho et al. 2020, eq. 14), over all held-out digits, one time each."""
    bits: float
    """Variational bound in bits per dimension (Ho et al. 2020, eq. 5), over the first few."""


@torch.no_grad()
def judge(pipeline: Pipeline, pixels_NHW: NDArray[np.uint8], labels_N: NDArray[np.int64]) -> Figures:
    """Times and noise are those of the digit, so that two models are asked the very same."""
    images_BCHW = torch.from_numpy(pixels_NHW[:, None]).float() / 127.5 - 1
    labels = [int(label) for label in labels_N]
    pipeline.module.eval()
    loss = pipeline.document.objective.build()
    costs = []
    for start in range(0, len(labels), BATCH):
        rows = range(start, min(start + BATCH, len(labels)))
        condition = pipeline.condition({"label": labels[rows.start : rows.stop]})

        def network(x_BCHW: Tensor, t_B: Tensor) -> Tensor:
            return pipeline.network(x_BCHW, t_B, condition)  # noqa: B023 (called before the next turn)

        costs.append(
            loss(
                network,
                images_BCHW[rows.start : rows.stop],
                process=pipeline.process,
                draws=Draws.of(0, rows),
            )
        )
    bits = picture_bits(pipeline, images_BCHW[:BITS], clip=1.0, label=labels[:BITS])
    return Figures(l_simple=float(torch.cat(costs).mean()), bits=float(bits.total.mean()))
