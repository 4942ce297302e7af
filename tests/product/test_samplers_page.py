"""docs/samplers.md has a row for every sampler, and says of each what the sampler says of itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from diffloom.kinds import Sampler

PAGE = Path(__file__).parents[2] / "docs" / "samplers.md"
UNCOUNTED = {"repaint": "by its jumps", "ode": "as it needs"}
"""Samplers whose calls are no multiple of the steps."""


class Row(NamedTuple):
    """The cells of a row."""

    name: str
    paper: str
    order: str
    calls: str
    fresh_noise: str
    pure_noise: str
    peer: str
    difference: str


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """By sampler."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = [Row(*row) for row in cells if len(row) == len(Row._fields)]  # the page has other tables
    return {row.name.strip("`"): row for row in found}


@pytest.fixture(scope="module")
def samplers(specimens: Callable[[str], list[Any]]) -> dict[str, Sampler]:
    """Each as it is by default; one that asks for more, as the tests have it."""
    found = {sampler.name: sampler for sampler in specimens("sampler")}
    return {
        name: sampler
        if any(f.is_required() for f in type(sampler).model_fields.values())
        else type(sampler)()
        for name, sampler in found.items()
    }


def test_every_sampler_has_a_row(rows: dict[str, Row], samplers: dict[str, Sampler]) -> None:
    assert sorted(rows) == sorted(samplers)
    assert [row.name for row in rows.values() if not all(row)] == []


def test_order_noise_and_start_are_the_samplers_own(
    rows: dict[str, Row], samplers: dict[str, Sampler]
) -> None:
    for name, sampler in samplers.items():
        row = rows[name]
        assert row.order.split()[0] == ("–" if sampler.order is None else str(sampler.order)), name
        assert row.fresh_noise.split(";")[0] == ("yes" if sampler.stochastic else "no"), name
        assert row.pure_noise == ("yes" if sampler.starts_pure else "no"), name


def test_what_turns_fresh_noise_on_or_off_does(
    rows: dict[str, Row], specimens: Callable[[str], list[Any]]
) -> None:
    """`no; with x above 0` and `yes; not with x: 0`: the field is the sampler's, and it is as the page says."""
    for name, row in rows.items():
        (kind,) = {type(item) for item in specimens("sampler") if item.name == name}
        if found := re.fullmatch(r"no; with `(\w+)` above 0", row.fresh_noise):
            assert kind(**{found[1]: 0.5}).stochastic, name
        elif found := re.fullmatch(r"yes; not with `(\w+): 0`", row.fresh_noise):
            assert not kind(**{found[1]: 0.0}).stochastic, name
        else:
            assert row.fresh_noise in ("yes", "no"), name


def test_calls_are_the_samplers_own(rows: dict[str, Row], samplers: dict[str, Sampler]) -> None:
    for name, sampler in samplers.items():
        if name in UNCOUNTED:
            assert rows[name].calls == UNCOUNTED[name]
            continue
        formula = re.fullmatch(r"(\d*)N(?: ([+−]) (\d+))?", rows[name].calls)
        assert formula, name
        slope = int(formula[1] or 1)
        more = int(formula[3] or 0) * (-1 if formula[2] == "−" else 1)
        for steps in (2, 3, 8, 20):
            assert sampler.calls(steps) == slope * steps + more, name


def test_differences_are_within_what_their_tests_allow(rows: dict[str, Row]) -> None:
    """1e-10 in float64 and 1e-5 in float32; where no peer was run, one figure or what bounds it."""
    for name, row in rows.items():
        figures = [float(figure) for figure in re.findall(r"\de-\d+", row.difference)]
        assert all(figure < bound for figure, bound in zip(figures, (1e-10, 1e-5), strict=False)), name
        assert len(figures) == 2 or not row.peer.startswith("[diffusers"), name
