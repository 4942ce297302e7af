"""Pictures of a folder as examples. Oracle: closed forms on pictures that the test makes."""

import numpy as np
import pytest
from PIL import Image

from diffloom.kinds import ImageInfo
from diffloom.process import keyed_generator
from diffloom_data import ImageFolder


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
