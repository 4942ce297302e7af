"""Guidance and corrections of one walk, composed around the denoiser in one order:

1. the plain conditional prediction of x₀, and every view that an active guidance wants, in one batch;
2. x₀ plus the shifts of all guidances;
3. the corrections, in the order of their list.

ε follows x₀ at every stage, so that alpha·x₀ + sigma·ε = x_t. Clipping comes after: `diffloom.process.clipped`.
A guidance that is a gradient (`Tilting`) is in x₀ like any other, and once more beside it, as a `Tilt` for samplers
that take the gradient elsewhere. Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, cast

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Correct, Mixing, Pull, Tilting
from diffloom.process.denoised import Denoised, Tilt
from diffloom.process.types import Aims, Estimate, Level, Model


@dataclass(frozen=True, eq=False, slots=True)
class Look:
    """What is asked of the networks where the same pulls are active: made once for a walk."""

    pulls: tuple[Pull, ...]
    mixes: tuple[bool, ...]
    """Of each of them, whether its shift is a mixture of predictions (`Mixing`)."""
    denoise: Callable[[Tensor, Level], Denoised]
    """The model's own, under all conditions of the views, stacked."""
    conditions: int
    """How many."""
    places: tuple[tuple[int | Callable[[Tensor, Level], Denoised], ...], ...]
    """For each view of each pull which of those conditions it is of, or the denoiser that it looks through."""
    blends: bool
    """Whether nothing but mixtures of the model's own predictions is wanted."""


class Asked(NamedTuple):
    """What is asked at one level."""

    look: Look
    blend: Sequence[tuple[Tensor | float, int]]
    """Where nothing but mixtures of the model's own predictions is wanted: for each view its weight, and of which of
    the conditions it is."""


NOTHING_ASKED: Mapping[Level, Asked] = {}


class Steered:
    """The guided denoiser of one walk: (x_BCHW, level) → x₀ and ε."""

    def __init__(
        self,
        aims: Aims,
        model: Model,
        pulls: Sequence[Pull],
        corrections: Sequence[Correct] = (),
        *,
        levels: Collection[Level] = (),
    ) -> None:
        """`levels` are those of the walk that are known: what is asked at them is made ready now, and nothing else.

        It may be a collection that grows: what is mixed at those that it has by the first step is settled then.
        """
        self.pulls = tuple(pulls)
        self.corrections = tuple(corrections)
        self._condition = aims.condition
        self._under = model.under
        self._estimates: dict[int, Estimate] = defaultdict(
            Estimate
        )  # by condition, whatever it is stacked with
        self._denoisers: dict[tuple[int, ...], Callable[[Tensor, Level], Denoised]] = {}
        self._looks: dict[tuple[bool, ...], Look] = {}
        self._levels = levels
        self._asked: dict[tuple[torch.dtype, torch.device], dict[Level, Asked]] = {}
        expected = dict.fromkeys(map(self._active, self._levels)) or [(True,) * len(self.pulls)]
        *_, look = map(self._look, expected)
        self._unsteered = None if self.pulls or self.corrections else look.denoise

    @property
    def denoise(self) -> Callable[[Tensor, Level], Denoised]:
        """What a call of this calls, for a walk to keep: a call less in every step. This does not keep it itself, or
        it and its networks would stay until the garbage collector came by.
        """
        return self._guided if self._unsteered is None else self._unsteered

    def __call__(self, x_BCHW: Tensor, level: Level) -> Denoised:
        """The guided and corrected prediction."""
        return self.denoise(x_BCHW, level)

    def _guided(self, x_BCHW: Tensor, level: Level) -> Denoised:
        known = self._asked.get((x_BCHW.dtype, x_BCHW.device), NOTHING_ASKED).get(level)
        look, blend = self._newly_asked(x_BCHW, level) if known is None else known
        seen_BCHW = x_BCHW if look.conditions == 1 else torch.cat([x_BCHW] * look.conditions)
        said = look.denoise(seen_BCHW, level)
        if self.corrections:
            return self._steered(look, x_BCHW, level, said)
        if not look.pulls:
            return said
        if blend and said.is_output:
            return said.blended(x_BCHW, look.conditions, blend)
        return self._steered(look, x_BCHW, level, said)

    def _newly_asked(self, x_BCHW: Tensor, level: Level) -> Asked:
        """That of a level, and with the first of a type and place those of all levels that are known."""
        place = (x_BCHW.dtype, x_BCHW.device)
        known = self._asked.setdefault(place, {})
        for one in (level,) if known else dict.fromkeys((*self._levels, level)):
            known[one] = self._ask(x_BCHW, one)
        return known[level]

    def _ask(self, x_BCHW: Tensor, level: Level) -> Asked:
        active = self._active(level)
        look = self._looks.get(active) or self._look(active)
        if not look.blends:
            return Asked(look, ())
        weights = [weight for pull in look.pulls for weight in cast(Mixing, pull).weights(level, x_BCHW)]
        places = cast(Iterable[int], chain.from_iterable(look.places))
        return Asked(look, list(zip(weights, places, strict=True)))

    def _active(self, level: Level) -> tuple[bool, ...]:
        """Which of the pulls are, at a level."""
        return tuple([pull.active(level) for pull in self.pulls])

    def _steered(self, look: Look, x_BCHW: Tensor, level: Level, said: Denoised) -> Denoised:
        """Of what was said under all conditions."""
        plain, seen = _seen(look, x_BCHW, level, said)
        mixtures: list[tuple[Tensor | float, Denoised]] = []
        shifts: list[Tensor] = []
        slopes: list[tuple[Tilting, Tensor]] = []
        for pull, mixes, views in zip(look.pulls, look.mixes, seen, strict=True):
            if mixes and all(map(plain.is_like, views)):
                mixtures += zip(cast(Mixing, pull).weights(level, x_BCHW), views, strict=True)
            elif (shift := pull.shift(x_BCHW, level, plain, views)) is not None:
                if isinstance(pull, Tilting):
                    slopes.append((pull, shift))
                else:
                    shifts.append(shift)
        steady = plain.led(mixtures) if mixtures else plain
        for shift in shifts:
            steady = shifted(steady, shift, level)
        guided = steady  # the gradients come last, since a tilt leaves them out
        for _, shift in slopes:
            guided = shifted(guided, shift, level)
        guided = self._corrected(x_BCHW, level, guided, plain)
        if not slopes:
            return guided
        without = self._corrected(x_BCHW, level, steady, plain)
        return guided.with_tilt(Tilt(without.x0_BCHW, _added([pull for pull, _ in slopes])))

    def _corrected(self, x_BCHW: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Denoised:
        for correct in self.corrections:
            guided = guided.with_x0(correct(x_BCHW, level, guided, plain), level)
        return guided

    def _look(self, active: tuple[bool, ...]) -> Look:
        """The look where these pulls are active, made and kept."""
        pulls = tuple(pull for pull, awake in zip(self.pulls, active, strict=True) if awake)
        views = [view for pull in pulls for view in pull.views]
        own = [self._condition, *(view.condition for view in views if view.through is None)]
        distinct = {id(condition): condition for condition in own}
        row = {key: number for number, key in enumerate(distinct)}
        mixes = tuple(isinstance(pull, Mixing) for pull in pulls)
        self._looks[active] = Look(
            pulls=pulls,
            mixes=mixes,
            denoise=self._denoiser(list(distinct.values())),
            conditions=len(distinct),
            places=tuple(
                tuple(
                    row[id(view.condition)] if view.through is None else view.through for view in pull.views
                )
                for pull in pulls
            ),
            blends=all(mixes) and all(view.through is None for view in views),
        )
        return self._looks[active]

    def _denoiser(self, conditions: Sequence[Condition]) -> Callable[[Tensor, Level], Denoised]:
        """The model's denoiser under these conditions, stacked; made once for a walk."""
        key = tuple(map(id, conditions))
        if key not in self._denoisers:
            stacked = conditions[0] if len(conditions) == 1 else Condition.stack(conditions)
            self._denoisers[key] = self._under(stacked, [self._estimates[one] for one in key])
        return self._denoisers[key]


def _seen(look: Look, x_BCHW: Tensor, level: Level, said: Denoised) -> tuple[Denoised, list[list[Denoised]]]:
    """The plain prediction, and those of each pull's views."""
    rows = said.rows(look.conditions, x_BCHW)
    return rows[0], [
        [rows[place] if isinstance(place, int) else place(x_BCHW, level) for place in places]
        for places in look.places
    ]


def shifted(denoised: Denoised, shift_BCHW: Tensor, level: Level) -> Denoised:
    """The prediction with x₀ shifted, and ε so that both still make x_t."""
    return denoised.with_x0(denoised.x0_BCHW + shift_BCHW, level)


def _added(slopes: Sequence[Tilting]) -> Callable[[Tensor, Level], Tensor]:
    def gradient(x_BCHW: Tensor, level: Level) -> Tensor:
        return torch.stack([slope.gradient(x_BCHW, level) for slope in slopes]).sum(0)

    return gradient
