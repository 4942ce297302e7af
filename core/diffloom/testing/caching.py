"""Laws of the kind `caching`, on a small network that can be divided, and on one that cannot.

Legend: B batch, C channels, H height, W width, K levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Caching, Remembering
from diffloom.nn import Deep
from diffloom.testing.checks import BrokenLawError, Check, expect, expect_close
from diffloom.testing.closed_forms import normal
from diffloom.testing.modules import awake

SHAPE = (3, 2, 4, 4)
TIMES = tuple(float(t) for t in range(950, -1, -50))


class Undivided(nn.Module):
    """A small network of x, t and a class: layers in a row, whose outputs are added up."""

    def __init__(self) -> None:
        super().__init__()
        channels, width = SHAPE[1], 8
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.time = nn.Linear(1, width)
        self.classes = nn.Embedding(5, width)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.leave = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        return self.output(x_BCHW, t_B, condition, None)

    def output(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition, deep: Deep | None) -> Tensor:
        """The output, a part of it computed by `deep`."""
        signal_BC = self.time(t_B[:, None].to(x_BCHW.dtype) / 1000) + self.classes(condition.class_B)
        h_BCHW = self.enter(x_BCHW) + signal_BC[:, :, None, None]
        output: Tensor = self.leave(self.summed(h_BCHW, 0, deep))
        return output

    def summed(self, h_BCHW: Tensor, first: int, deep: Deep | None) -> Tensor:
        """The sum of h and of what each layer makes of the one before it, from the first on."""
        if first == len(self.layers):
            return h_BCHW

        def inside() -> Tensor:
            return self.summed(self.layers[first](torch.tanh(h_BCHW)), first + 1, deep)

        return h_BCHW + (deep(inside) if deep is not None and deep.depth == first + 1 else inside())


class Divided(Undivided):
    """The same, divided before any of its layers."""

    depths = 3

    def forward(
        self, x_BCHW: Tensor, t_B: Tensor, condition: Condition, *, deep: Deep | None = None
    ) -> Tensor:
        return self.output(x_BCHW, t_B, condition, deep)


def begins_with_the_plain_network(component: Caching) -> None:
    """There is nothing to remember at the first level: its output is the network's own, to 1e-12 in float64."""
    network = _network()
    came = component.build(network, times=TIMES).at(TIMES[0])(*_asked(TIMES[0]))
    expect_close(came, network(*_asked(TIMES[0])), within=1e-12, what="the first output")


def keeps_shape_type_and_sense(component: Caching) -> None:
    """Every output is finite, of x's shape and type."""
    for dtype in (torch.float64, torch.float32):
        network = _network(dtype)
        for t, came in zip(TIMES, _walk(component.build(network, times=TIMES), dtype=dtype), strict=True):
            expect(came.shape == SHAPE, f"an output of shape {SHAPE} at t = {t:g}", tuple(came.shape))
            expect(came.dtype == dtype, f"{dtype} at t = {t:g}", came.dtype)
            expect(bool(came.isfinite().all()), f"finite numbers at t = {t:g}", "inf or NaN")


def rows_are_independent(component: Caching) -> None:
    """A row's walk is the same alone as in a batch, whatever the classes of the others."""
    network = _network()
    together = _walk(component.build(network, times=TIMES))
    for row in range(SHAPE[0]):
        rows = slice(row, row + 1)
        alone = _walk(component.build(network, times=TIMES), rows=rows)
        for t, own, of_all in zip(TIMES, alone, together, strict=True):
            expect_close(own, of_all[rows], within=1e-12, what=f"row {row} alone at t = {t:g}")


def a_walk_begins_afresh(component: Caching) -> None:
    """A second walk has nothing from the first, nor do two that take turns share anything."""
    network = _network()
    first = _walk(component.build(network, times=TIMES))
    second = _walk(component.build(network, times=TIMES))
    one, other = (component.build(network, times=TIMES) for _ in range(2))
    turns = []
    for t in TIMES:
        turns.append(one.at(t)(*_asked(t)))
        other.at(t)(*_asked(t, seed=9))
    for t, came, again, by_turns in zip(TIMES, first, second, turns, strict=True):
        expect(torch.equal(came, again), f"the same output of a second walk at t = {t:g}", "another")
        expect(torch.equal(came, by_turns), f"the same output at t = {t:g} beside another walk", "another")


def says_the_same_twice(component: Caching) -> None:
    """Asked the same at one time again, it answers the same: samplers may ask more than once."""
    remembering = component.build(_network(), times=TIMES)
    for t in TIMES:
        first, second = (remembering.at(t)(*_asked(t)) for _ in range(2))
        expect_close(second, first, within=1e-12, what=f"the second answer at t = {t:g}")


def serves_times_of_its_own(component: Caching) -> None:
    """Times between the walk's and beyond them, and a way back up to fresh noise, are answered with finite numbers."""
    remembering = component.build(_network(), times=TIMES)
    for t in (999.0, 930.0, 925.0, 500.0, 520.0, 999.0, 3.0):
        came = remembering.at(t)(*_asked(t))
        expect(came.shape == SHAPE and bool(came.isfinite().all()), f"finite numbers at t = {t:g}", came)


def passes_gradients(component: Caching) -> None:
    """Guidance may differentiate every output with respect to its own x, and each graph can be let go."""
    remembering = component.build(_network(), times=TIMES)
    for t in TIMES:
        x_BCHW, t_B, condition = _asked(t)
        x_BCHW = x_BCHW.requires_grad_()
        (gradient,) = torch.autograd.grad(remembering.at(t)(x_BCHW, t_B, condition).sum(), x_BCHW)
        sound = bool(gradient.isfinite().all()) and bool(gradient.abs().sum() > 0)
        expect(sound, f"a gradient with respect to x at t = {t:g}", gradient)


def leaves_the_network_alone(component: Caching) -> None:
    """A walk changes no weight and no output of the network by itself, nor what it is given."""
    network = _network()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    before = network(*_asked(TIMES[3]))
    remembering = component.build(network, times=TIMES)
    for t in TIMES:
        asked, same = _asked(t), _asked(t)
        remembering.at(t)(*asked)
        expect(torch.equal(asked[0], same[0]), f"x to be left as it was at t = {t:g}", "changed in place")
    other = [name for name, value in network.state_dict().items() if not torch.equal(value, weights[name])]
    expect(not other, "weights to be left as they were", f"others in {', '.join(other)}")
    expect(
        torch.equal(network(*_asked(TIMES[3])), before), "the network's own output after a walk", "another"
    )


def refuses_by_value_error(component: Caching) -> None:
    """A network that cannot be divided is served, or refused with a ValueError that says why."""
    try:
        remembering = component.build(awake(Undivided()).double(), times=TIMES)
    except ValueError as error:
        expect(bool(str(error).strip()), "a reason", "an empty message")
        return
    except Exception as error:
        raise BrokenLawError(f"expected a ValueError; got {type(error).__name__}: {error}") from error
    _walk(remembering)


def _network(dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(4)
    return awake(Divided()).to(dtype).requires_grad_(False)


def _asked(
    t: float, *, seed: int = 5, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Condition]:
    """What a network is asked at one level: x is of this level alone, as in a walk."""
    x_BCHW = normal(SHAPE, seed=seed + int(t), dtype=dtype)
    return x_BCHW, torch.full(SHAPE[:1], t), Condition(class_B=torch.tensor([0, 3, 4]))


def _walk(
    remembering: Remembering, *, rows: slice = slice(None), dtype: torch.dtype = torch.float64
) -> Sequence[Tensor]:
    """The output at every level."""
    outputs = []
    for t in TIMES:
        x_BCHW, t_B, condition = _asked(t, dtype=dtype)
        outputs.append(remembering.at(t)(x_BCHW[rows], t_B[rows], condition.map(_only(rows))))
    return outputs


def _only(rows: slice) -> Callable[[Tensor], Tensor]:
    return lambda slot: slot[rows]


CHECKS: tuple[Check, ...] = (
    begins_with_the_plain_network,
    keeps_shape_type_and_sense,
    rows_are_independent,
    a_walk_begins_afresh,
    says_the_same_twice,
    serves_times_of_its_own,
    passes_gradients,
    leaves_the_network_alone,
    refuses_by_value_error,
)
