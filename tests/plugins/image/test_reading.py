"""What is taken for a picture. Oracle: the pixels that the test wrote."""

import numpy as np
import pytest
import torch
from PIL import Image

from diffloom_image import ImageCondition


def noise(height=16, width=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scaled(pixels_HWC):
    """(C, H, W) in [-1, 1], in float64."""
    return pixels_HWC.transpose(2, 0, 1) / 127.5 - 1


def test_all_that_is_a_picture(tmp_path):
    pixels_HWC = noise(4, 6)
    Image.fromarray(pixels_HWC).save(tmp_path / "a.png")
    tensor_CHW = torch.from_numpy(scaled(pixels_HWC))
    ways = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.fromarray(pixels_HWC),
        pixels_HWC,
        tensor_CHW,
        tensor_CHW.float().numpy(),
    ]
    for raw in ways:
        picture = ImageCondition().check(raw)
        assert picture.size == (4, 6)
        assert np.abs(picture.pixels_CHW - scaled(pixels_HWC)).max() < 1e-6  # one rounding to float32


def test_files_are_turned_upright_and_laid_on_white(tmp_path):
    pixels_HWC = noise(6, 4)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn anticlockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels_HWC, 1))).save(tmp_path / "a.png", exif=exif)
    assert np.allclose(ImageCondition().check(tmp_path / "a.png").pixels_CHW, scaled(pixels_HWC), atol=1e-6)
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert (ImageCondition().check(tmp_path / "clear.png").pixels_CHW == 1).all()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "a picture is a file.*; not None"),
        (3, "a picture is a file.*; not 3"),
        (np.zeros((4, 6, 4), np.uint8), r"a picture is a file.*; not uint8 of shape \(4, 6, 4\)"),
        (np.zeros((3, 4, 6), np.int64), "not int64 of shape"),
        (torch.zeros(1, 3, 4, 6), r"not float32 of shape \(1, 3, 4, 6\)"),
        (np.zeros((0, 6, 3), np.uint8), "a picture is a file"),
        (torch.full((3, 4, 6), 1.5), r"the picture has values outside \[-1, 1\]"),
        (torch.full((3, 4, 6), float("nan")), r"the picture has values outside \[-1, 1\]"),
        (Image.new("I;16", (4, 4)), "has more than 8 bits a channel"),
    ],
)
def test_what_is_no_picture(raw, message):
    with pytest.raises(ValueError, match=message):
        ImageCondition().check(raw)


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(Image.fromarray(noise())._repr_png_()[:200])
    for name, message in (
        ("gone.png", r"gone\.png: no such file; a relative path starts at"),
        ("text.png", r"text\.png: not a picture that can be read"),
        ("cut.png", r"cut\.png.: cannot be read as a picture"),
        ("", "cannot be read as a picture"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageCondition().parse(str(tmp_path / name))


def test_a_recipe_can_tell_which_it_was(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    part = ImageCondition()
    from_file, from_array = part.parse(str(tmp_path / "a.png")), part.check(noise())
    file, array = part.recorded(from_file), part.recorded(from_array)
    assert file["file"] == str(tmp_path / "a.png")
    assert file["size"] == array["size"] == [16, 24]
    assert file["sha256"] == array["sha256"] != part.recorded(part.check(noise(seed=1)))["sha256"]
    assert from_array == part.check(noise()) != part.check(noise(seed=1))
    assert hash(from_array) == hash(part.check(noise()))
