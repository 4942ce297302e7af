"""Pictures from tensors. Oracles: the 8-bit rule in closed form, and what PIL reads back."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffloom.errors import DiffloomError
from diffloom.pictures import film_strip, grid, images, read_recipe, save_png
from diffloom.process import CLEAN, Level, Step


def test_every_byte_survives_the_round_trip() -> None:
    bytes_HW = torch.arange(256).reshape(1, 1, 16, 16)
    (image,) = images(bytes_HW / 127.5 - 1)
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), bytes_HW[0, 0].numpy())


def test_values_beyond_the_range_are_clamped() -> None:
    (image,) = images(torch.tensor([-3.0, -1.0, 1.0, 3.0]).reshape(1, 1, 2, 2))
    assert np.asarray(image).tolist() == [[0, 0], [255, 255]]


def test_colour_channels_stay_in_order() -> None:
    x_BCHW = torch.full((1, 3, 1, 2), -1.0)
    x_BCHW[0, 0, 0, 1] = 1.0
    (image,) = images(x_BCHW)
    assert image.mode == "RGB"
    assert image.getpixel((1, 0)) == (255, 0, 0)


def test_two_channels_are_no_picture() -> None:
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        images(torch.zeros(1, 2, 4, 4))


def test_grid_places_every_tile_and_enlarges_by_whole_factors() -> None:
    tiles = [Image.new("L", (8, 8), color=shade) for shade in (10, 20, 30)]
    sheet = grid(tiles, columns=2, tile_px=64, gap_px=2)
    assert sheet.size == (2 * 66 + 2, 2 * 66 + 2)
    assert [sheet.getpixel(at) for at in ((2, 2), (65, 65), (68, 2), (2, 68), (68, 68), (0, 0))] == [
        10,
        10,
        20,
        30,
        255,
        255,
    ]


def test_large_tiles_keep_their_size() -> None:
    assert grid([Image.new("RGB", (100, 50))], tile_px=64, gap_px=0).size == (100, 50)


def walk(count: int) -> list[Step]:
    def shade(value: float) -> torch.Tensor:
        return torch.full((2, 1, 4, 4), value)

    level = Level(t=1.0, alpha=0.5, sigma=0.5)
    return [
        Step(
            index=i,
            level=level,
            next_level=CLEAN,
            x_t_BCHW=shade(i / count),
            x0_BCHW=shade(-i / count),
            following_BCHW=shade(0),
        )
        for i in range(count)
    ]


def test_film_shows_the_first_and_the_last_step() -> None:
    strip = film_strip(walk(25), decode=lambda x: x, frames=10, tile_px=4)
    assert strip.size == (10 * 6 + 2, 2 * 6 + 2)
    last = round((24 / 25 + 1) * 127.5)
    assert strip.getpixel((2, 2)) == 128
    assert strip.getpixel((2 + 9 * 6, 2)) == last
    assert strip.getpixel((2 + 9 * 6, 8)) == 255 - last


def test_film_of_a_short_walk_has_a_frame_for_each_step() -> None:
    assert film_strip(walk(3), decode=lambda x: x, tile_px=4).size == (3 * 6 + 2, 2 * 6 + 2)


def test_recipe_travels_in_the_file(tmp_path: Path) -> None:
    recipe = {"seeds": [[5, 17]], "conditions": {"prompt": ["naïve façade, 猫"]}}
    save_png(Image.new("L", (8, 8)), tmp_path / "new" / "x.png", recipe=recipe)
    assert read_recipe(tmp_path / "new" / "x.png") == recipe
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.png"]


def test_a_picture_without_a_recipe_says_so(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(DiffloomError, match="carries no diffloom recipe"):
        read_recipe(tmp_path / "plain.png")


def test_a_full_disk_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"old")

    def full(self: Image.Image, target: Path, **options: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DiffloomError, match=r"x\.png: cannot write the picture: No space left on device"):
        save_png(Image.new("L", (8, 8)), path)
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["x.png"]
