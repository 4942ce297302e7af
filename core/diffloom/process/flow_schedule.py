"""Schedule `flow`, and how its times are shifted towards noise for large pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from diffloom.kinds import Schedule, Section, SpaceInfo, TimeAxis

if TYPE_CHECKING:
    from typing import Self

    from diffloom.process.continuous import Flow


class SizeShift(Section):
    """A shift that depends on how many tokens a network makes of what is diffused."""

    rule: Literal["sqrt", "linear"]
    """`sqrt`: √(tokens / base_tokens) · base (Esser et al. 2024, eq. 23). `linear`: exp(μ), with μ on the line through
    (base_tokens, base) and (max_tokens, max), as Flux has it."""
    patch: PositiveInt = 2
    """Height and width of the patch of latents that makes one token."""
    base_tokens: PositiveInt = 256
    """How many tokens the base is for."""
    base: float | None = None
    """At `base_tokens`: the shift itself for `sqrt` (1 unless said), μ for `linear` (0.5 unless said)."""
    max_tokens: PositiveInt = 4096
    """How many tokens `max` is for; `linear` only."""
    max: float = 1.15
    """μ at `max_tokens`; `linear` only."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.rule == "sqrt" and self.base is not None and self.base <= 0:
            raise ValueError(f"a shift is above 0, and base is {self.base:g}")
        if self.rule == "linear" and self.base_tokens == self.max_tokens:
            raise ValueError("base_tokens and max_tokens are one point, and a line needs two")
        return self

    def of(self, space: SpaceInfo) -> float:
        """The shift for what is diffused here. Raises ValueError where patches do not fill it."""
        if space.height % self.patch or space.width % self.patch:
            raise ValueError(f"patches of {self.patch}×{self.patch} do not fill {space.height}×{space.width}")
        tokens = (space.height // self.patch) * (space.width // self.patch)
        if self.rule == "sqrt":
            return math.sqrt(tokens / self.base_tokens) * (1.0 if self.base is None else self.base)
        base = 0.5 if self.base is None else self.base
        slope = (self.max - base) / (self.max_tokens - self.base_tokens)
        return math.exp(base + slope * (tokens - self.base_tokens))


class FlowSchedule(Schedule):
    """The straight line from data to noise: alpha = 1 − t, sigma = t (Liu et al. 2022; Lipman et al. 2022).

    Rectified flow and flow matching are this with `prediction: flow`. Time is sigma, shift or no shift, and so is what
    networks are shown; SD3's and Flux's are shown 1000·t, SiT's count from noise to data. The shift bends how times
    are trained on and visited: evenly spaced u become s·u/(1 + (s − 1)·u).
    """

    name = "flow"
    equation: ClassVar[str] = "α = 1 − t, σ = t, times shifted by {shift}"

    first: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """The cleanest time, whatever the shift."""
    shift: PositiveFloat | SizeShift = 1.0
    """s: a number (SD3 has 3), or how it follows from the size of what is diffused."""

    @property
    def axis(self) -> TimeAxis:
        """From `first` to 1; bent by the shift, where that is known without the size."""
        return TimeAxis(self.first, 1.0, None, 1.0 if isinstance(self.shift, SizeShift) else self.shift)

    @property
    def zero_snr(self) -> bool:
        """True: at t = 1 all is noise."""
        return True

    def build(self, *, space: SpaceInfo | None = None) -> Flow:
        """The schedule. Raises ValueError where the shift depends on a size that is not known."""
        from diffloom.process.continuous import Flow

        if not isinstance(self.shift, SizeShift):
            return Flow(first=self.first, shift=self.shift)
        if space is None:
            raise ValueError("the shift depends on the size of what is diffused: build(space=...)")
        return Flow(first=self.first, shift=self.shift.of(space))
