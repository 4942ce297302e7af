"""Decoding. Oracle: closed forms on pictures that the test makes."""

import io

import numpy as np
import pytest
from PIL import Image

from diffloom.picture import open_picture


def pixels(path, channels=3):
    return np.asarray(open_picture(path, channels=channels))


class TestDecoding:
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_is_undone(self, tmp_path, orientation, noise_picture):
        upright = np.asarray(noise_picture(height=5, width=7))
        # How a camera stores an upright scene under each orientation tag (Exif 2.3, table 6).
        stored = {
            1: upright,
            2: upright[:, ::-1],
            3: upright[::-1, ::-1],
            4: upright[::-1],
            5: upright.transpose(1, 0, 2),
            6: np.rot90(upright, 1),
            7: np.rot90(upright, 2).transpose(1, 0, 2),
            8: np.rot90(upright, -1),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
        assert np.array_equal(pixels(tmp_path / "a.png"), upright)

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_transparency_is_laid_on_white(self, tmp_path, mode):
        alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
        grey = np.full((16, 16), 40, np.uint8)
        Image.fromarray(np.stack([*[grey] * (len(mode) - 1), alpha], -1), mode).save(tmp_path / "a.png")
        expected = 255 + (40 - 255) * (alpha / 255)
        for channels in (1, 3):
            got = pixels(tmp_path / "a.png", channels).reshape(16, 16, channels)
            assert np.abs(got - expected[..., None]).max() <= 1  # 8-bit rounding, twice

    def test_a_palette_and_its_transparent_entry(self, tmp_path):
        picture = Image.new("P", (2, 1))
        picture.putpalette([200, 10, 30, 0, 0, 0])
        picture.putdata([0, 1])
        picture.save(tmp_path / "a.png", transparency=1)
        picture.save(tmp_path / "b.gif", transparency=1)
        for name in ("a.png", "b.gif"):
            assert pixels(tmp_path / name).tolist() == [[[200, 10, 30], [255, 255, 255]]]

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_16_bit_grey_keeps_its_range(self, tmp_path, suffix):
        grey = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)  # 257 · 0 … 255
        Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
        assert np.array_equal(pixels(tmp_path / f"a.{suffix}", 1).ravel(), np.arange(256))
        assert np.array_equal(pixels(tmp_path / f"a.{suffix}", 3)[..., 2].ravel(), np.arange(256))

    def test_one_bit_cmyk_and_grey(self, tmp_path):
        Image.new("1", (1, 1), 1).save(tmp_path / "bit.png")
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(
            tmp_path / "cmyk.tif"
        )  # full magenta and yellow: red
        Image.new("RGB", (1, 1), (255, 0, 0)).save(tmp_path / "red.png")
        assert pixels(tmp_path / "bit.png").tolist() == [[[255, 255, 255]]]
        assert pixels(tmp_path / "cmyk.tif")[4, 4].tolist() == [255, 0, 0]
        assert pixels(tmp_path / "red.png", 1).tolist() == [[76]]  # ITU-R 601: 0.299 · 255


class TestSources:
    """A file, its name, its content and Pillow's picture of it are one picture."""

    def test_all_are_the_same(self, tmp_path, noise_picture):
        path = tmp_path / "a.png"
        picture = noise_picture(height=5, width=7)
        picture.save(path)
        expected = np.asarray(picture)
        for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), picture):
            assert np.array_equal(pixels(source), expected)

    def test_a_picture_of_pillows_is_turned_upright_too(self, noise_picture):
        upright = noise_picture(height=5, width=7)
        exif = Image.Exif()
        exif[0x0112] = 3  # the 180° of Exif 2.3
        buffer = io.BytesIO()
        upright.rotate(180).save(buffer, "PNG", exif=exif)
        with Image.open(buffer) as stored:
            assert np.array_equal(pixels(stored), np.asarray(upright))

    @pytest.mark.parametrize("content", [b"", b"no picture"])
    def test_what_is_no_picture_is_refused_by_pillow(self, content):
        with pytest.raises(OSError, match="cannot identify image file"):
            pixels(content)
