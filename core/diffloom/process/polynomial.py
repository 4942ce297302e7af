"""What multistep methods integrate: the polynomial through the last few predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)
"""Gauss-Legendre on [-1, 1]: exact for polynomials up to degree 63, and to float64 for them times an exponential."""


def lagrange_integrals(
    places: Sequence[float],
    *,
    start: float,
    end: float,
    place: Callable[[float], float] = lambda s: s,
    density: Callable[[float], float] = lambda s: 1.0,
) -> tuple[float, ...]:
    """∫ from `start` to `end` of L_j(place(s))·density(s) ds, for each j, in float64.

    L_j is the polynomial of least degree that is 1 at places[j] and 0 at the others.
    """
    middle, half = (start + end) / 2, (end - start) / 2
    points = [middle + half * float(node) for node in NODES]
    mass = [half * float(weight) * density(s) for weight, s in zip(WEIGHTS, points, strict=True)]
    at = [place(s) for s in points]
    return tuple(
        math.fsum(m * _basis(places, j, p) for m, p in zip(mass, at, strict=True)) for j in range(len(places))
    )


def exponential_integrals(
    places: Sequence[float], *, start: float, end: float, rate: float = 0.0
) -> tuple[float, ...]:
    """∫ L_j(λ)·p·e^(p(λ − end)) dλ from `start` to `end`, p = 1 + rate: what x₀ weighs over half-log-SNR λ.

    Of the exact solution of the probability flow at rate 0, x_s = sigma_s/sigma_t·x_t + alpha_s·∫ e^(λ − λ_s)·x₀(λ) dλ
    (Lu et al. 2022b, proposition 4.1), and of the SDE with `rate` times the fresh noise (Xue et al. 2023, eq. 15, 18).
    """
    power = 1 + rate
    return lagrange_integrals(
        places, start=start, end=end, density=lambda s: power * math.exp(power * (s - end))
    )


def _basis(places: Sequence[float], j: int, p: float) -> float:
    others = [place for k, place in enumerate(places) if k != j]
    return math.prod((p - other) / (places[j] - other) for other in others)
