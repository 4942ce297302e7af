"""Power-function averages of the weights as profiles over the steps, and what combination of some is like another.

After step t such an average is ∫ θ(τ)·p(τ) dτ with p(τ) = (γ+1)·τ^γ / t^(γ+1) up to t, and 0 from there (Karras et al.
2024, section 3.1). That it moves in whole steps changes nothing: what it has of step τ is this integral over [τ−1, τ].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-13
"""Directions in which the profiles hardly differ, by this share of the largest, are left out: they are rounding."""


@dataclass(frozen=True)
class Profile:
    """An average with exponent γ after a step."""

    exponent: float
    step: int


@dataclass(frozen=True)
class Combination:
    """Given profiles, each times a share, in place of a wanted one."""

    shares: NDArray[np.float64]
    """One for each given profile; they add up to 1."""
    error: float
    """Norm of the difference from the wanted profile, as a share of that one's own."""


def product(one: Profile, other: Profile) -> float:
    """∫ p·q dτ of two profiles (Karras et al. 2024, section 3.2)."""
    a, b, end = one.exponent, other.exponent, min(one.step, other.step)
    overlap = (end / one.step) ** (a + 1) * (end / other.step) ** (b + 1)
    return float((a + 1) * (b + 1) / (a + b + 1) * overlap / end)


def combination(given: Sequence[Profile], wanted: Profile) -> Combination:
    """The nearest combination of the given profiles by least squares, of those whose shares add up to 1.

    The constraint, which the paper leaves to rounding, keeps the size of the weights exactly.
    """
    norms = np.sqrt([product(profile, profile) for profile in given])  # brings all to one size
    norm = product(wanted, wanted) ** 0.5
    among = np.array([[product(one, other) for other in given] for one in given]) / np.outer(norms, norms)
    with_wanted = np.array([product(profile, wanted) for profile in given]) / (norms * norm)
    # min ½·xᵀAx − bᵀx with cᵀx = 1, by its Lagrangian: A·x + λ·c = b
    scale = norm / norms
    system = np.block([[among, scale[:, None]], [scale[None, :], np.zeros((1, 1))]])
    solution = np.linalg.lstsq(system, np.append(with_wanted, 1.0), rcond=ROUNDING)[0][:-1]
    squared = 1 - 2 * solution @ with_wanted + solution @ among @ solution
    return Combination(shares=solution * scale, error=float(max(squared, 0.0) ** 0.5))
