"""The law that costs follow. Oracle: costs made by a law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.scaling.growth import Cost, Growth, Law
from benchmarks.scaling.page import page, plot
from PIL import Image

SIZES = (1, 8, 32, 128)


@pytest.mark.parametrize(
    ("power", "words", "short"),
    [
        (0.0, "does not grow", "constant"),
        (1.0, "grows in proportion", "~ n^1"),
        (2.0, "grows as the square", "~ n^2"),
        (2.5, "grows faster than the square", "~ n^2.5"),
    ],
)
def test_a_power_is_found(power: float, words: str, short: str) -> None:
    law = Law.of(SIZES, [3 * size**power for size in SIZES])
    assert law.overall == pytest.approx(power)
    assert law.of_seconds() == f"{words} (exponent {power:.2f} at the end, {power:.2f} over all)"
    assert law.in_short() == short


def test_where_a_fixed_part_is_most_the_law_is_a_line() -> None:
    law = Law.of(SIZES, [0.28 + 0.0016 * size for size in SIZES])
    assert (law.fixed, law.each) == pytest.approx((0.28, 0.0016))
    assert law.of_seconds().startswith("is 0.28 s and 1.6 ms for each (exponent 0.2")
    assert law.in_short() == "0.28 + 0.0016 n"


@pytest.mark.parametrize(("costs", "end"), [([8, 12, 10, 8], -0.16), ([9, 12, 8, 10], 0.16)])
def test_what_scatters_does_not_grow(costs: list[float], end: float) -> None:
    """Whatever the last two happened to be."""
    law = Law.of(SIZES, costs)
    assert law.end == pytest.approx(end, abs=0.01)
    assert str(law).startswith(f"does not grow (exponent {end:.2f} at the end")
    assert law.of_seconds() == str(law)
    assert law.in_short() == "constant"


def test_page_and_plot_have_law_and_reason(tmp_path: Path) -> None:
    costs = [(size, Cost(0.28 + 0.0016 * size, 35.0)) for size in SIZES]
    found = [
        (Growth("installed plugins", "a process", SIZES, lambda size: costs[0][1], "each is imported"), costs)
    ]
    text = page("a machine", found)
    assert "Time is 0.28 s and 1.6 ms for each" in text
    assert "Memory does not grow (exponent 0.00 at the end, 0.00 over all). Why: each is imported." in text
    assert "| 128 | 0.485 | 35 |" in text
    plot(found, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as drawn:
        assert drawn.width >= 400
        assert len(np.unique(np.asarray(drawn.convert("RGB")).reshape(-1, 3), axis=0)) > 50
