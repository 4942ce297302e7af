"""Any prediction from any other: the table that converts them all."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from diffloom.process.conversions import X0, Epsilon, FlowVelocity, Preconditioned, Score, V
from diffloom.registry import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.kinds import Conversion

CONVERSIONS: Mapping[str, Conversion] = MappingProxyType(
    {
        "epsilon": Epsilon(),
        "x0": X0(),
        "v": V(),
        "score": Score(),
        "flow": FlowVelocity(),
        "edm": Preconditioned(sigma_data=0.5),
    }
)
"""The predictions that need to know no more than alpha and sigma, by name; `edm` is for data of std 0.5."""


def convert(
    value: Tensor,
    *,
    source: str | Conversion,
    to: str | Conversion,
    x_t: Tensor,
    alpha: Tensor | float,
    sigma: Tensor | float,
) -> Tensor:
    """What a network that predicts `to` would output where one that predicts `source` outputs `value`.

    `source` and `to` are names of CONVERSIONS, or conversions themselves, as `posterior_mean` must be, which knows a
    schedule; `value` and x_t have one shape, alpha and sigma are floats or broadcast against it. Where alpha is 0, x₀
    cannot be told from epsilon and score, and the result is infinite or NaN. Raises ValueError for an unknown name.
    """
    x0, eps = _conversion(source).x0_eps(value, x_t, alpha, sigma)
    return _conversion(to).target(x0, eps, alpha, sigma)


def _conversion(named: str | Conversion) -> Conversion:
    if not isinstance(named, str):
        return named
    if named not in CONVERSIONS:
        hint = did_you_mean(named, CONVERSIONS) or f"; there are {', '.join(CONVERSIONS)}"
        raise ValueError(f"no prediction is called {named!r}{hint}")
    return CONVERSIONS[named]
