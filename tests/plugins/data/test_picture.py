"""Decoding, scaling, cropping, flipping. Oracle: closed forms on pictures that the test makes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diffloom.kinds import ImageInfo
from diffloom.process import keyed_generator
from diffloom_data import ImageFolder
from diffloom_data.picture import cover, open_picture


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


def gradient(height, width):
    """Red is the column and green the row, both scaled to stay below 256."""
    row, column = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([column, row, 0 * row], -1).astype(np.uint8))


class TestCover:
    @settings(deadline=None)
    @given(
        size=st.tuples(st.integers(4, 250), st.integers(4, 250)),
        target=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    )
    def test_any_size_covers_any_target(self, size, target):
        for rng in (None, np.random.default_rng(0)):
            got = cover(gradient(*size), height=target[0], width=target[1], rng=rng)
            assert got.shape == (*target, 3)

    @pytest.mark.parametrize(
        ("height", "width", "target"), [(96, 160, 32), (200, 100, 40), (64, 64, 16), (33, 250, 8)]
    )
    def test_shrinking_a_gradient_gives_the_gradient_between(self, height, width, target):
        # A symmetric kernel keeps a linear ramp: output pixel i sees source coordinate start + (i + ½)·scale
        # − ½. At the edge the kernel is cut to the part, so pixels within its reach (2) are left out.
        got = cover(gradient(height, width), height=target, width=target, rng=None).astype(float)
        scale = min(height, width) / target
        centers = (np.arange(target) + 0.5) * scale - 0.5
        left, top = (width - min(height, width)) // 2, (height - min(height, width)) // 2
        inner = slice(2, -2)
        assert (
            np.abs(got[inner, inner, 0] - (left + centers)[None, inner]).max() <= 0.51
        )  # rounding to 8 bits
        assert np.abs(got[inner, inner, 1] - (top + centers)[inner, None]).max() <= 0.51

    def test_shrinking_does_not_alias(self):
        # A one-pixel checkerboard is above every frequency a picture a quarter as large can hold: flat grey
        # is right.
        board = np.indices((128, 128)).sum(0) % 2 * 255
        got = cover(Image.fromarray(board.astype(np.uint8)), height=32, width=32, rng=None).astype(float)
        assert np.abs(got[2:-2, 2:-2] - 127.5).max() <= 2

    @pytest.mark.parametrize("random", [False, True])
    def test_a_picture_that_needs_no_scaling_is_cut_out_exactly(self, noise_picture, random):
        picture = noise_picture(height=8, width=21)
        rng = np.random.default_rng(3) if random else None
        got = cover(picture, height=8, width=8, rng=rng)
        whole = np.asarray(picture)
        places = [x for x in range(14) if np.array_equal(got, whole[:, x : x + 8])]
        assert places == ([int(np.random.default_rng(3).integers(14))] if random else [6])

    def test_random_crops_reach_every_place_evenly(self):
        picture = gradient(8, 12)  # five places: 0 … 4
        lefts = [
            int(cover(picture, height=8, width=8, rng=np.random.default_rng(i))[0, 0, 0]) for i in range(2000)
        ]
        counts = np.bincount(lefts, minlength=5)
        assert len(counts) == 5
        # χ² with 4 degrees of freedom exceeds 18.5 once in a thousand; the seeds are fixed.
        assert ((counts - 400) ** 2 / 400).sum() < 18.5


class TestExamples:
    @pytest.fixture
    def path(self, tmp_path, noise_picture):
        for i in range(4):
            noise_picture(height=8, width=12, seed=i).save(tmp_path / f"{i}.png")
        return str(tmp_path)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_values_are_the_pixels_in_minus_one_to_one(self, path, rng, channels):
        image = ImageInfo(height=8, width=12, channels=channels)
        example = ImageFolder(path=path).build(image=image).example(2, rng)
        with Image.open(f"{path}/2.png") as file:
            whole = np.asarray(file.convert("L" if channels == 1 else "RGB")).reshape(8, 12, channels)
        assert example.image_CHW.dtype == np.float32
        assert example.image_CHW.flags["C_CONTIGUOUS"]
        assert example.image_CHW.shape == image.shape
        assert np.abs(example.image_CHW - (whole.transpose(2, 0, 1) / 127.5 - 1)).max() < 1e-6

    def test_a_key_gives_the_same_picture_and_keys_give_others(self, path):
        examples = ImageFolder(path=path, crop="random", flip=True).build(
            image=ImageInfo(height=8, width=8, channels=3)
        )

        def draw(sample, step):
            return examples.example(1, keyed_generator(0, sample, step, "augment")).image_CHW

        for key in [(0, 0), (3, 1), (2, 9)]:
            assert np.array_equal(draw(*key), draw(*key))
        # Five places, flipped or not: ten pictures, all of them met in 200 draws.
        assert len({draw(sample, 0).tobytes() for sample in range(200)}) == 10

    def test_half_of_the_pictures_are_mirrored(self, path):
        image = ImageInfo(height=8, width=12, channels=3)
        plain, flipping = (ImageFolder(path=path, flip=flip).build(image=image) for flip in (False, True))
        straight = plain.example(0, keyed_generator(0, 0, 0, "augment")).image_CHW
        drawn = [flipping.example(0, keyed_generator(0, i, 0, "augment")).image_CHW for i in range(1000)]
        mirrored = sum(np.array_equal(image, straight[:, :, ::-1]) for image in drawn)
        assert mirrored + sum(np.array_equal(image, straight) for image in drawn) == 1000
        assert abs(mirrored - 500) < 4 * np.sqrt(250)  # four standard deviations; the keys are fixed

    def test_without_random_parts_the_generator_is_not_needed(self, path):
        examples = ImageFolder(path=path).build(image=ImageInfo(height=8, width=8, channels=3))
        images = [examples.example(0, keyed_generator(0, i, 0, "augment")).image_CHW for i in range(8)]
        assert all(np.array_equal(image, images[0]) for image in images)
