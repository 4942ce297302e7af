"""What a multistep method integrates: the polynomial through the predictions that it remembers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)
"""Gauss-Legendre on [-1, 1]; together with an exponential over a long step it is still exact to float64."""


def weights(places: Sequence[float], *, start: float, end: float, rate: float) -> tuple[float, ...]:
    """∫ (1 + rate)·e^((1 + rate)(λ − end))·L_j(λ) dλ from `start` to `end`, for each j.

    L_j is the polynomial of least degree that is 1 at places[j] and 0 at the others (Xue et al. 2023, eq. 15 and 18).
    """
    power, half = 1 + rate, (end - start) / 2
    points = [start + half * (1 + float(node)) for node in NODES]
    mass = [
        half * float(weight) * power * math.exp(power * (point - end))
        for weight, point in zip(WEIGHTS, points, strict=True)
    ]
    return tuple(
        math.fsum(m * _basis(places, j, point) for m, point in zip(mass, points, strict=True))
        for j in range(len(places))
    )


def _basis(places: Sequence[float], j: int, point: float) -> float:
    others = [place for k, place in enumerate(places) if k != j]
    return math.prod((point - other) / (places[j] - other) for other in others)
