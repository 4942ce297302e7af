"""Initial weights of Ho et al. 2020, whose code is the source: they name them nowhere in the paper.

Every layer starts at "fan average" scale, and the last layer of every residual branch at zero. A fresh
network is then the identity along its residual paths, its gradients neither grow nor shrink with depth, and
its first output is zero, which is the best constant guess at ε. Dhariwal & Nichol 2021 and EDM (Karras et
al. 2022) keep the zeros.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def fan_avg(layer: Layer, *, fused: int = 1) -> Layer:
    """`layer` with uniform weights of variance 2 / (fan_in + fan_out) and no bias; returns it.

    Glorot & Bengio 2010, eq. 16. `fused` layers stacked along the output each get the scale
    that they would have alone.
    """
    with torch.no_grad():
        for part in layer.weight.chunk(fused):
            nn.init.xavier_uniform_(part)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def zeroed(layer: Layer) -> Layer:
    """`layer` with zero weights and bias, to end a residual branch or a network; returns it."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
