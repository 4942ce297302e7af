"""What is known of x_t once the network has seen it, kept as the network said it.

Every prediction makes x₀ and ε of x_t and the network's output by four numbers, so that whatever a sampler wants of x₀
and ε is a mixture of x_t and the output: two passes over memory, where x₀, ε and their mixture would be six. So x₀ and
ε are computed for those who read them, and samplers ask for the mixture.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffloom.process.types import Level

NOTHING = torch.zeros((), device="cpu")
"""What a product is added to: `add` takes its factor as a number, of which `mul` would make a tensor in every call."""
ROUNDING = 1e-13
"""How sure the numbers are of themselves, which float64 and a few functions of levels made."""
HAIR = 1e-15
"""The rounding of a sum of two products in float64."""
Term = tuple[float, Tensor]
"""A number times a tensor."""


class Form(NamedTuple):
    """x₀ = x0_x·x + x0_y·y and ε = eps_x·x + eps_y·y, of two tensors x and y, in float64."""

    x0_x: float
    x0_y: float
    eps_x: float
    eps_y: float


THEMSELVES = Form(1.0, 0.0, 0.0, 1.0)
"""Of x₀ and ε."""


class Denoised:
    """x₀ and ε as predicted at one level; alpha·x₀ + sigma·ε = x_t."""

    variance_BCHW: Tensor | None = None
    """The network's raw variance output, where it has one."""
    tilt: Tilt | None = None
    """How classifier guidance steers an ancestral step, which takes the gradient at its mean."""
    _x0_BCHW: Tensor | None = None
    _eps_BCHW: Tensor | None = None
    _derived: Callable[[], Tensor] | None = None
    """How to compute ε where the form, right as it is, would round it more than need be."""

    def __init__(
        self,
        x0_BCHW: Tensor,
        eps_BCHW: Tensor,
        variance_BCHW: Tensor | None = None,
        tilt: Tilt | None = None,
    ) -> None:
        """Both as they are; `Denoised.said` makes them of a network's output."""
        self._x_BCHW, self._y_BCHW, self._form = x0_BCHW, eps_BCHW, THEMSELVES
        self.variance_BCHW, self.tilt = variance_BCHW, tilt

    @classmethod
    def said(
        cls, x_t_BCHW: Tensor, output_BCHW: Tensor, form: Form, variance_BCHW: Tensor | None = None
    ) -> Denoised:
        """What an output says of x_t, by the form of its prediction at this level."""
        made = cls.__new__(cls)
        made._x_BCHW, made._y_BCHW, made._form = x_t_BCHW, output_BCHW, form
        made.variance_BCHW = variance_BCHW
        return made

    @property
    def x0_BCHW(self) -> Tensor:  # noqa: N802
        """The clean picture; computed when it is first read."""
        if self._x0_BCHW is None:
            self._x0_BCHW = mixed(self._form.x0_x, self._x_BCHW, self._form.x0_y, self._y_BCHW)
        return self._x0_BCHW

    @property
    def eps_BCHW(self) -> Tensor:  # noqa: N802
        """The noise; computed when it is first read."""
        if self._eps_BCHW is None:
            self._eps_BCHW = (
                mixed(self._form.eps_x, self._x_BCHW, self._form.eps_y, self._y_BCHW)
                if self._derived is None
                else self._derived()
            )
        return self._eps_BCHW

    def combined(self, *, x0: float = 0.0, eps: float = 0.0) -> Tensor:
        """x0·x₀ + eps·ε, at most two passes; it may be a tensor that others hold, and is not to be written to.

        The numbers are combined in float64 with the prediction's own before they meet a tensor.
        """
        x0_x, x0_y, eps_x, eps_y = self._form
        return mixed(x0 * x0_x + eps * eps_x, self._x_BCHW, x0 * x0_y + eps * eps_y, self._y_BCHW)

    def terms(self, *, x0: float = 0.0, eps: float = 0.0) -> tuple[Term, Term]:
        """The same as terms of a longer sum (`summed`); what cancels, as in a midpoint rule, is 0 and costs nothing."""
        x0_x, x0_y, eps_x, eps_y = self._form
        of_x, of_y, more_x, more_y = x0 * x0_x, x0 * x0_y, eps * eps_x, eps * eps_y
        sum_x, sum_y = of_x + more_x, of_y + more_y
        if more_x != 0.0 and abs(sum_x) < abs(of_x) * ROUNDING:
            sum_x = 0.0
        if more_y != 0.0 and abs(sum_y) < abs(of_y) * ROUNDING:
            sum_y = 0.0
        return (sum_x, self._x_BCHW), (sum_y, self._y_BCHW)

    def with_x0(self, x0_BCHW: Tensor, level: Level) -> Denoised:
        """The same with another x₀, and the ε that still makes x_t of it.

        ε is what it was less alpha/sigma times the change of x₀: exact where nothing has changed, unlike
        (x_t − alpha·x₀)/sigma, which is as good in a mixture that is a step.
        """
        ratio = level.alpha / level.sigma

        def derived() -> Tensor:
            return torch.add(self.eps_BCHW, self.x0_BCHW - x0_BCHW, alpha=ratio)

        if self._form is THEMSELVES:
            return Denoised(x0_BCHW, derived(), self.variance_BCHW, self.tilt)
        form = Form(x0_x=0.0, x0_y=1.0, eps_x=1 / level.sigma, eps_y=-ratio)
        changed = Denoised.said(self._x_BCHW, x0_BCHW, form, self.variance_BCHW)
        changed.tilt, changed._derived = self.tilt, derived
        return changed

    def with_tilt(self, tilt: Tilt | None) -> Denoised:
        """The same with another tilt."""
        tilted = copy.copy(self)
        tilted.tilt = tilt
        return tilted

    def rows(self, parts: int, x_t_BCHW: Tensor) -> list[Denoised]:
        """What was said of x_t under each of several conditions, where this was said of x_t repeated so many times."""
        if parts == 1:
            return [self]
        ys, spread = self._y_BCHW.chunk(parts), self.variance_BCHW
        xs = self._x_BCHW.chunk(parts) if self._form is THEMSELVES else (x_t_BCHW,) * parts
        spreads = (None,) * parts if spread is None else spread.chunk(parts)
        return [self.said(x, y, self._form, own) for x, y, own in zip(xs, ys, spreads, strict=True)]

    def is_like(self, other: Denoised) -> bool:
        """Whether both were said of the same x_t in the same form, so that their outputs can be mixed."""
        return self._x_BCHW is other._x_BCHW and self._form == other._form

    def led(self, views: Sequence[tuple[Tensor | float, Denoised]]) -> Denoised:
        """This plus weight·(view − this) for every view, one at least, all alike: their outputs are mixed."""
        output = _led(self._y_BCHW, [(weight, view._y_BCHW) for weight, view in views])
        return self.said(self._x_BCHW, output, self._form, self.variance_BCHW)

    @property
    def is_output(self) -> bool:
        """Whether this is what a network said, and not x₀ and ε themselves."""
        return self._form is not THEMSELVES

    def blended(self, x_t_BCHW: Tensor, parts: int, views: Sequence[tuple[Tensor | float, int]]) -> Denoised:
        """`led` of the first of several conditions by others of them, each with its weight: what was said is an output
        (`rows`)."""
        ys, spread = self._y_BCHW.chunk(parts), self.variance_BCHW
        output = _led(ys[0], [(weight, ys[place]) for weight, place in views])
        return self.said(x_t_BCHW, output, self._form, None if spread is None else spread.chunk(parts)[0])


@dataclass(frozen=True)
class Tilt:
    """Dhariwal & Nichol 2021, algorithm 1: x_s ~ N(μ + Σ·gradient(μ), Σ). x₀ and ε have algorithm 2's shift already;
    a sampler that draws x_s from a mean takes `x0_BCHW` for it, and this gradient, instead.
    """

    x0_BCHW: Tensor
    """x₀ without the classifier."""
    gradient: Callable[[Tensor, Level], Tensor]
    """(scale − 1) · ∇ log p(y | x) at (x, level), shaped like x."""


def _led(own: Tensor, others: Iterable[tuple[Tensor | float, Tensor]]) -> Tensor:
    """own + Σ weight·(other − own), of one other at least."""
    output = own
    for weight, other in others:
        if output is own:
            output = torch.lerp(own, other, weight)
        elif isinstance(weight, Tensor):
            output = torch.addcmul(output, weight, other - own)
        else:
            output = torch.add(output, other - own, alpha=weight)
    return output


def mixed(a: float, x: Tensor, b: float = 0.0, y: Tensor = NOTHING) -> Tensor:
    """a·x + b·y in as few passes as there are: x or y itself where the other counts nothing and it counts once."""
    if b == 0.0:
        return x if a == 1.0 else torch.add(NOTHING, x, alpha=a)
    if a == 0.0:
        return y if b == 1.0 else torch.add(NOTHING, y, alpha=b)
    if -HAIR < a - 1.0 < HAIR:  # as x_t in a flow's step: alpha + sigma = 1 up to float64's rounding
        return torch.add(x, y, alpha=b)
    if -HAIR < b - 1.0 < HAIR:
        return torch.add(y, x, alpha=a)
    return torch.add(NOTHING, x, alpha=a).add_(y, alpha=b)


def summed(terms: Iterable[Term]) -> Tensor:
    """The sum of numbers times tensors, a pass for each that is not 0; there is one at least."""
    first: Term | None = None
    total: Tensor | None = None  # of two that count: a tensor of its own
    for weight, value in terms:
        if weight == 0.0:
            continue
        if total is not None:
            total.add_(value, alpha=weight)
        elif first is None:
            first = weight, value
        else:
            total = mixed(*first, weight, value)
    if total is None:
        assert first is not None
        total = mixed(*first)
    return total
