"""The sheets of samples in the page. Oracle: the files themselves."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffloom.pictures import save_png
from diffloom.report.film import LONGEST_PX, MOST_FRAMES, Film, read_film


def data_of(source: str) -> bytes:
    return base64.b64decode(source.partition(",")[2])


def test_small_sheets_are_the_files(run: Path) -> None:
    film = read_film(run / "samples")
    files = sorted((run / "samples").glob("*.png"))
    assert [data_of(frame.source) for frame in film.frames] == [path.read_bytes() for path in files]
    assert [frame.step for frame in film.frames] == [4, 8, 12]
    with Image.open(files[0]) as sheet:
        assert (film.frames[0].width_px, film.frames[0].height_px) == sheet.size
    assert film.frames[0].alt.startswith("Samples after step 4; label: 0, 1, 2, 3")


@pytest.mark.parametrize(("width", "factor"), [(1, 480), (102, 5), (480, 1), (481, 1)])
def test_small_sheets_are_shown_enlarged(tmp_path: Path, width: int, factor: int) -> None:
    Image.new("L", (width, 1)).save(tmp_path / "step-00000001.png")
    assert [frame.factor for frame in read_film(tmp_path).frames] == [factor]


@pytest.mark.parametrize("count", [1, 2, MOST_FRAMES, MOST_FRAMES + 1, 200])
def test_a_long_film_is_cut_evenly(tmp_path: Path, count: int) -> None:
    for step in range(1, count + 1):
        Image.new("L", (4, 4)).save(tmp_path / f"step-{step:08d}.png")
    film = read_film(tmp_path)
    steps = [frame.step for frame in film.frames]
    assert film.sheets == count
    assert len(steps) == min(count, MOST_FRAMES)
    assert (steps[0], steps[-1]) == (1, count)
    gaps = np.diff(steps)
    assert count == 1 or gaps.max() - gaps.min() <= 1


def test_a_large_sheet_is_packed(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 2000, dtype=np.float64)
    noise = np.random.default_rng(0).normal(0, 3, (1000, 2000))
    pixels = np.clip(ramp + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "step-00000001.png")
    (frame,) = read_film(tmp_path).frames
    assert frame.source.startswith("data:image/webp;")
    with Image.open(io.BytesIO(data_of(frame.source))) as shown:
        assert max(shown.size) == LONGEST_PX
        assert (frame.width_px, frame.height_px) == shown.size
        small = np.asarray(shown.convert("L"), dtype=np.float64)
    wanted = np.interp(np.linspace(0, 1999, LONGEST_PX), np.arange(2000), ramp)
    assert (
        np.abs(small.mean(0) - wanted).max() < 3
    )  # of 255: JPEG-like loss, and a border that cannot be centred


def test_hidden_and_foreign_files_are_no_sheets(tmp_path: Path) -> None:
    for name in (".step-00000001.png.77.tmp", "step-1.txt", "grid.png"):
        (tmp_path / name).write_text("no picture")
    assert read_film(tmp_path) == Film((), 0, "")


def test_a_caption_is_told_as_it_is(tmp_path: Path) -> None:
    recipe = {"conditions": {"prompt": ["a <b>fox</b>", "an owl"]}}
    save_png(Image.new("L", (4, 4)), tmp_path / "step-00000003.png", recipe=recipe)
    (frame,) = read_film(tmp_path).frames
    assert frame.alt == "Samples after step 3; prompt: a <b>fox</b>, an owl"
