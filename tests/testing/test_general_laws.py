"""The laws of every component, on configurations that break one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict, field_serializer

from diffloom.kinds import NoiseSchedule, Spacing
from diffloom.process import Level


class Right(Spacing):
    """Keeps every law."""

    name = "right"

    shift: float = 1e-4
    """A field of each usual type."""
    sizes: tuple[int, ...] = (1, 2)
    """Several."""
    word: str | None = None
    """Or none."""

    def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
        return schedule.levels([schedule.axis.at(1 - (i + 0.5) / steps) for i in range(steps)])[:-1]


class Undocumented(Right):
    """Has a field without a docstring."""

    name = "undocumented"

    bare: int = 3


class Rambling(Right):
    """Says in its first line so much of what it is that nobody who lists the plugins of a terminal can read it all, ever."""  # noqa: E501

    name = "rambling"


class Thawed(Right):
    """Its fields can be assigned."""

    name = "thawed"
    model_config = ConfigDict(frozen=False)


class Lenient(Right):
    """Takes fields that it does not know."""

    name = "lenient"
    model_config = ConfigDict(extra="ignore")


class Mutable(Right):
    """Holds a list."""

    name = "mutable"

    widths: list[int] = [1, 2]  # noqa: RUF012
    """Widths."""


class Forgetful(Right):
    """Writes another value than it holds."""

    name = "forgetful"

    @field_serializer("shift")
    def _rounded(self, value: float) -> float:
        return round(value, 2)


class Hidden(Right):
    """Has no schema of a field."""

    name = "hidden"

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        schema = super().model_json_schema(*args, **kwargs)
        del schema["properties"]["shift"]
        return schema


def test_a_right_component_passes(passes: Callable[..., None]) -> None:
    passes(Right)


@pytest.mark.parametrize(
    ("component", "check"),
    [
        (Undocumented, "is_documented"),
        (Rambling, "is_documented"),
        (Thawed, "is_frozen"),
        (Lenient, "is_frozen"),
        (Mutable, "is_deeply_immutable"),
        (Forgetful, "survives_yaml"),
        (Hidden, "has_a_schema"),
    ],
)
def test_a_broken_law_is_caught(caught: Callable[..., None], component: type[Spacing], check: str) -> None:
    caught(check, component)


class Demanding(Right):
    """Has a field without a default."""

    name = "demanding"

    steps: int
    """Required."""


class Exemplary(Demanding):
    """Says with which configurations it is examined."""

    name = "exemplary"

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Exemplary, ...]:
        assert list(folder.iterdir()) == []
        return (cls(steps=3), cls(steps=4, sizes=()))


def test_required_fields_need_specimens(check_component: Any) -> None:
    (failure,) = check_component(Demanding)
    assert failure.check == "has_specimens"
    assert "steps" in failure.message
    assert check_component(Demanding, steps=3) == [], "or fields, given by the author's own test"
    assert check_component(Exemplary) == []


def test_a_failure_names_the_configuration(check_component: Any) -> None:
    """`kind name(fields that are not at their defaults): check: expected …; got …`."""

    class Rising(Right):
        """Rises."""

        name = "rising"

        def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
            return super().levels(schedule, steps=steps)[::-1]

    failures = [str(failure) for failure in check_component(Rising, shift=0.5)]
    assert failures[0].startswith(
        "spacing rising(shift=0.5): gives_levels_that_fall: expected 2 levels of a table of 1000 times of "
        "strictly falling noise; got [0.9"
    )
