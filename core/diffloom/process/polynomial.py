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
    points_N = middle + half * NODES
    at_N, mass_N = _each(place, points_N), half * WEIGHTS * _each(density, points_N)
    away_JN = at_N - np.array(places)[:, None]
    return tuple(math.fsum(mass_N * _basis(places, j, away_JN)) for j in range(len(places)))


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


def _each(function: Callable[[float], float], points_N: np.ndarray) -> np.ndarray:
    return np.array([function(point) for point in points_N.tolist()])


def _basis(places: Sequence[float], j: int, away_JN: np.ndarray) -> np.ndarray:
    """L_j at N points that are away_JN from each place."""
    others = [k for k in range(len(places)) if k != j]
    value_N: np.ndarray = away_JN[others].prod(0) / math.prod(places[j] - places[k] for k in others)
    return value_N
