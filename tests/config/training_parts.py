"""Small optimisers, learning-rate schedules and averages, for the registry of these tests."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from diffloom.kinds import EMA, Attention, LRSchedule, Optimizer


class Unbuilt(Optimizer):
    """Configuration is all that these tests look at."""

    def build(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class AdamW(Unbuilt):
    """Moves."""

    name = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)


class Whole(Unbuilt):
    """Measures all weights together."""

    name = "whole"
    shardable: ClassVar[bool] = False


class Falling(LRSchedule):
    """Down to nothing at the end, from a point of its own."""

    name = "falling"
    last_steps: PositiveInt = 10

    def shape(self, step: int, *, steps: int) -> float:
        return min(1.0, (steps - step) / self.last_steps)

    def check(self, *, steps: int) -> None:
        if self.last_steps > steps:
            raise ValueError(f"it falls for {self.last_steps} of {steps} steps")


class Constant(LRSchedule):
    """The same all along."""

    name = "constant"
    open_ended = True

    def shape(self, step: int, *, steps: int) -> float:
        return 1.0


class Exponential(EMA):
    """Forgets evenly."""

    name = "exponential"
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    warmup: bool = True

    def remaining(self, step: int, *, batch_size: int) -> float:
        return self.decay


class Square(EMA):
    """Forgets as a power of the step."""

    name = "square"
    gamma: PositiveFloat = 1.0

    @property
    def exponent(self) -> float:
        return self.gamma

    def remaining(self, step: int, *, batch_size: int) -> float:
        return float((1 - 1 / step) ** (self.gamma + 1))


class Auto(Attention):
    """Whoever can."""

    name = "auto"

    def build(self) -> Any:
        raise NotImplementedError


PARTS = [AdamW, Whole, Constant, Falling, Exponential, Square, Auto]
