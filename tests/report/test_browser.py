"""The page in a real browser. Oracle: what the browser itself says of errors, requests, boxes and text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffloom.report.page import report

SECTIONS = ("findings", "curves", "samples", "configuration", "weights", "environment", "again")


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the run."""
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_text(report([run]), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desk", "dark phone"])
def test_it_is_whole_and_asks_for_nothing(tab: Any, page: Path, width: int, dark: bool) -> None:
    tab.open(page, width=width, dark=dark)
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [page.as_uri()]
    assert tab.run("document.documentElement.scrollWidth") <= width, "it must be moved sideways to be read"
    boxes = tab.run(
        "[...document.querySelectorAll('main > section')].map((s) => [s.id, s.offsetWidth, s.offsetHeight])"
    )
    assert [key for key, wide, high in boxes if wide > 0.8 * min(width, 1000) and high > 60] == list(SECTIONS)
    light = tab.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((c) => c > 200)")
    assert light is not dark


def test_its_text_holds_the_figures(
    tab: Any, page: Path, run: Path, rows_of: Callable[[Path], list[dict[str, float]]]
) -> None:
    tab.open(page, width=1280)
    tab.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    text = tab.run("document.body.innerText")
    rows = rows_of(run)
    assert len(rows) == 12
    for row in rows:
        for name, value in row.items():
            if name != "seconds":
                assert f"{value:.6g}" in text.split(), f"{name} of step {row['step']}"
    assert "12 of 12" in text
    assert "finished" in text


def test_a_hostile_text_is_text(tab: Any, page: Path) -> None:
    tab.open(page, width=1280)
    told = tab.run("document.querySelector('#findings tbody tr td:nth-child(3)').textContent")
    assert told == "measured </script><script>alert('caption')</script> & <b>more</b>"
    assert tab.run("document.querySelectorAll('main b').length") == 0
    assert tab.events("Page.javascriptDialogOpening") == []


def test_the_film_turns(tab: Any, page: Path, run: Path) -> None:
    sheets = sorted(path.name for path in (run / "samples").glob("*.png"))
    assert len(sheets) == 3
    tab.open(page, width=390)
    shown = "[...document.querySelectorAll('.film figcaption')].filter((c) => c.offsetHeight).map((c) => c.textContent)"
    assert tab.run(shown) == ["step 12"]
    tab.click(".film [aria-label='Previous sheet']")
    assert tab.run(shown) == ["step 8"]
    tab.click(".film [aria-label='Previous sheet']")
    tab.click(".film [aria-label='Previous sheet']")
    assert tab.run(shown) == ["step 12"], "it goes round"
    tab.click(".film [aria-label='Next sheet']")
    assert tab.run(shown) == ["step 4"]
    assert tab.run("document.querySelector('.film input').value") == "0"
    tab.run("document.querySelector('.film input').focus()")
    tab.press("ArrowRight")
    assert tab.run(shown) == ["step 8"]
    tab.click(".film [aria-label='Play']")
    assert (
        tab.run("document.querySelector('.film button:nth-of-type(3)').getAttribute('aria-label')") == "Stop"
    )
    look = f"(function look() {{ {shown}[0] === 'step 12' ? done() : setTimeout(look, 20); }})()"
    tab.run(f"new Promise((done) => {look})")
    natural = tab.run(
        "[...document.querySelectorAll('.film img')].map((i) => i.naturalWidth * i.naturalHeight)"
    )
    assert min(natural) > 0, "a sheet is no picture"


def test_charts_are_drawn_read_and_switched(
    tab: Any, page: Path, run: Path, rows_of: Callable[[Path], list[dict[str, float]]]
) -> None:
    rows = rows_of(run)
    tab.open(page, width=1280)
    charts = tab.run(
        "[...document.querySelectorAll('.chart')].map((c) => [c.id, c.querySelectorAll('.course').length])"
    )
    assert dict(charts) == {
        "chart-loss": 1,
        "chart-loss-by-noise-0": len(
            {name for row in rows for name in row if name.startswith("loss_bucket_")}
        ),
        "chart-grad_norm": 1,
        "chart-lr": 1,
        "chart-images_per_second": 1,
        "chart-data_wait": 1,
    }
    assert tab.run("[...document.querySelectorAll('#chart-loss .mark title')].map((m) => m.textContent)") == [
        "step 5: loader-starved",
        "step 9: ema-frozen",
    ]
    course = "document.querySelector('#chart-loss .course').getAttribute('d')"
    linear = tab.run(course)
    tab.click("#chart-loss .choice:nth-of-type(2) input")
    assert tab.run(course) != linear, "the logarithmic scale is the linear one"
    assert tab.run("document.querySelectorAll('#chart-loss .logged').length") == 1
    tab.click("#chart-loss .choice:nth-of-type(1) input")
    assert tab.run("document.querySelectorAll('#chart-loss .logged').length") == 0
    tab.run("document.querySelector('#chart-loss .plot').focus()")
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    read = tab.run("document.querySelector('#chart-loss .readout').textContent")
    assert read == f"step 2: loss {rows[1]['loss']:.5g}"
    pressed = "document.querySelectorAll('#chart-loss-by-noise-0 .course').length"
    before = tab.run(pressed)
    tab.click("#chart-loss-by-noise-0 .legend button")
    assert tab.run(pressed) == before - 1


@pytest.mark.parametrize("scale", [float, math.log10], ids=["linear", "logarithmic"])
def test_the_scale_is_that_of_the_figures(tab: Any, page: Path, scale: Callable[[float], float]) -> None:
    """Oracle: the line's points, taken back through the ticks' own places."""
    tab.open(page, width=1280)
    if scale is math.log10:
        tab.click("#chart-loss .choice:nth-of-type(2) input")
    points = json.loads(tab.run("document.querySelector('#chart-loss script').textContent"))["lines"][0][
        "points"
    ]
    texts = "[...document.querySelectorAll('#chart-loss text[text-anchor=end]')]"
    ticks = tab.run(f"{texts}.map((t) => [Number(t.textContent), t.getAttribute('y') - 4])")
    (low, low_y), *_, (high, high_y) = [(scale(value), y) for value, y in ticks]
    drawn = (
        tab.run("document.querySelector('#chart-loss .logged').getAttribute('d')")
        .removeprefix("M")
        .split("L")
    )
    values = [low + (float(place.split(",")[1]) - low_y) / (high_y - low_y) * (high - low) for place in drawn]
    tenth_px = (high - low) / abs(high_y - low_y) / 10  # places are written to a tenth of a pixel
    assert values == pytest.approx([scale(point[2]) for point in points], abs=tenth_px)


def test_defaults_can_be_left_out(tab: Any, page: Path) -> None:
    tab.open(page, width=1280)
    seen = "[...document.querySelectorAll('.settings tbody tr')].filter((r) => r.offsetHeight).length"
    everything = tab.run(seen)
    defaults = tab.run("document.querySelectorAll('.settings tr.default').length")
    tab.click(".hide-defaults")
    assert 0 < defaults < everything
    assert tab.run(seen) == everything - defaults


def test_it_can_be_heard(tab: Any, page: Path) -> None:
    """Oracle: the browser's own accessibility tree."""
    tab.open(page, width=1280)
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    told = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    headings = [name for role, name in told if role == "heading"]
    assert headings[0] == "small"
    assert {"Curves", "Samples", "Configuration", "Loss by noise level"} <= set(headings)
    pictures = [name for role, name in told if role == "image"]
    assert any(name.startswith("Loss, by step: loss from ") for name in pictures)
    assert any(name.startswith("Samples after step 12; label: 0, 1, 2") for name in pictures)
    assert [
        entry for entry in told if entry[0] in ("image", "button", "slider", "checkbox") and not entry[1]
    ] == []
