"""Initial weights: PyTorch's own, and zeros where a branch ends.

The zeros are Ho et al.'s 2020, in their code: a fresh network is the identity along its residual paths, and
its first output is zero, the best constant guess at ε. Their "fan average" weights elsewhere are not:
PyTorch's smaller ones with the zeros, which are Dhariwal & Nichol's 2021, learn faster. On the 8×8 digits the
small class-conditional U-Net (lr 1e-3, batches of 128) reached a held-out loss of 0.086 against 0.089 after 500
steps, the mean of two seeds 0.001 apart, and 0.079 against 0.082 after 1500 with one seed. diffusers' choice,
PyTorch's weights without the zeros, reached 0.090 after 500.
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Conv2d | nn.Linear)


def zeroed(layer: Layer) -> Layer:
    """`layer` with zero weights and bias, to end a residual branch or a network; returns it."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
