"""Second pictures and masks. Oracle: pictures whose values say what each pixel is, made by the test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom.picture import pixel_values
from diffloom.process import keyed_generator
from diffloom_data import CaptionedFolder, ImageFolder
from diffloom_data.from_folder import FromFolder
from diffloom_data.partners import goes_with
from diffloom_image import ImageCondition, SizeCrop

SHAPE = ImageInfo(height=8, width=8, channels=3)
BEFORE = FromFolder(name="before", pictures="../before")
MASKED = FromFolder(name="image", masks="../masks")
BOTH = FromFolder(name="pair", pictures="../before", masks="../masks")


def ramp(height, width, scale):
    """Red is the column, green the row, in the pixels of a picture `scale` times as large."""
    row, column = np.mgrid[0:height, 0:width]
    return Image.fromarray((np.stack([column, row, 0 * row], -1) * scale).astype(np.uint8))


@pytest.fixture
def folders(tmp_path):
    """Three pictures of 24×40 with masks of their right halves, and second pictures of half their size."""
    for folder in ("seen", "before", "masks"):
        (tmp_path / folder / "a").mkdir(parents=True)
    for index in range(3):
        name = f"a/{index}"
        ramp(24, 40, 1).save(tmp_path / "seen" / f"{name}.png")
        ramp(12, 20, 2).save(tmp_path / "before" / f"{name}.tif")
        mask = np.zeros((24, 40), np.uint8)
        mask[:, 20:] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.bmp")
    return tmp_path


def opened(folders, *conditions, **fields):
    component = ImageFolder(path=str(folders / "seen"), conditions=conditions, **fields)
    return component.build(image=SHAPE)


def coordinates(values_CHW):
    """The columns and rows that are seen."""
    return (values_CHW[:2] + 1) * 127.5


class TestTogether:
    @pytest.mark.parametrize("key", range(8))
    def test_all_are_cropped_and_flipped_as_the_picture(self, folders, key):
        """Columns and rows of the second picture are those of the first; the mask is white from column 20 on."""
        examples = opened(folders, BEFORE, BOTH, MASKED, crop="random", flip=True)
        example = examples.example(0, keyed_generator(0, key, 0, "example"))
        seen = coordinates(example.image_CHW)[:, 2:-2, 2:-2]
        before = coordinates(pixel_values(example.conditions["before"]))[:, 2:-2, 2:-2]
        # The larger picture's pixel c lies at (c + ½)/2 − ½ of the smaller one, whose values are twice its columns;
        # both are rounded to 8 bits.
        assert np.abs(seen - 0.5 - before).max() <= 1.01
        masked, mask = example.conditions["image"]
        assert np.array_equal(pixel_values(masked), example.image_CHW)
        columns = coordinates(example.image_CHW)[0]
        clear = np.abs(columns - 19.5) > 4  # beyond the reach of the kernel that widens three times
        assert np.array_equal((np.asarray(mask) >= 128)[clear], (columns > 19.5)[clear])
        second, same_mask = example.conditions["pair"]
        assert second == example.conditions["before"]
        assert same_mask == mask

    def test_the_image_conditioner_takes_them(self, folders):
        """As the stacked picture, and as the pair that is to be repainted."""
        example = opened(folders, BEFORE, MASKED).example(1, keyed_generator(0, 0, 0, "example"))
        stacked = ImageCondition().check(example.conditions["before"])
        assert stacked.pixels_CHW.shape == SHAPE.shape
        repainted = ImageCondition(mask=True).check(example.conditions["image"])
        assert np.array_equal(repainted.pixels_CHW, example.image_CHW)
        assert repainted.mask_HW.shape == (8, 8)
        assert 0.2 < repainted.mask_HW.mean() < 0.8

    def test_they_change_no_random_number(self, folders):
        plain, more = (
            opened(folders, *conditions, crop="random", flip=True) for conditions in ((), (BEFORE, MASKED))
        )
        for key in range(6):
            pictures = [e.example(0, keyed_generator(0, key, 0, "example")).image_CHW for e in (plain, more)]
            assert np.array_equal(*pictures)

    def test_folders_within_are_no_pictures_and_no_labels(self, folders):
        (folders / "before").rename(folders / "seen" / "before")
        examples = opened(folders, FromFolder(name="before", pictures="before"))
        assert examples.info.classes == {"label": ("a",)}
        assert len(examples) == 3

    def test_captioned_pictures_have_them_too(self, folders):
        for index in range(3):
            (folders / "seen" / "a" / f"{index}.txt").write_text(f"picture {index}")
        component = CaptionedFolder(path=str(folders / "seen"), captions=None, conditions=(MASKED,))
        example = component.build(image=SHAPE).example(2, keyed_generator(0, 0, 0, "example"))
        assert example.conditions.keys() == {"prompt", "image", "size"}
        assert example.conditions["prompt"] == "picture 2"

    def test_the_size_is_told_as_the_size_conditioner_takes_it(self, folders):
        example = opened(folders).example(0, keyed_generator(0, 0, 0, "example"))
        # 24×40 is scaled to 8×13⅓, of which the middle 8 are seen: 8 of the file's 40 columns are left of them.
        assert example.conditions["size"] == {
            "original_size": (24, 40),
            "crop_top_left": (0, 3),
            "target_size": (8, 8),
        }
        assert SizeCrop().check(example.conditions["size"]) == (24, 40, 0, 3, 8, 8)


class TestProblems:
    def refusal(self, folders, *conditions, **fields):
        with pytest.raises(DataError) as caught:
            opened(folders, *conditions, **fields)
        return str(caught.value)

    def test_everything_is_told_at_once_with_counts(self, folders):
        (folders / "before" / "a" / "0.tif").unlink()
        ramp(12, 20, 2).save(folders / "before" / "a" / "1.png")  # beside 1.tif
        Image.new("L", (40, 30)).save(folders / "masks" / "a" / "2.bmp")
        (folders / "seen" / "a" / "1.png").write_bytes(b"")
        assert self.refusal(folders, BEFORE, MASKED).splitlines() == [
            f"{folders / 'seen'}: 1 unreadable file; mend or remove them, or set `unreadable: skip`:",
            "  a/1.png: UnidentifiedImageError: cannot identify image file '1.png'",
            f"{folders / 'seen' / '../before'}: 2 of 3 pictures have no before of the same name here, or several; add "
            "what is missing, or remove these pictures:",
            "  a/0.png",
            "  a/1.png",
            f"{folders / 'seen' / '../masks'}: 1 of 3 pictures have another aspect ratio than their image, "
            "which cannot be cropped together with them:",
            "  a/2.png: 24×40, and its image 30×40",
        ]

    def test_a_damaged_partner_counts_as_the_picture(self, folders):
        (folders / "masks" / "a" / "0.bmp").write_bytes(b"")
        assert "1 unreadable file; mend" in self.refusal(folders, MASKED)
        with pytest.warns(UserWarning, match="1 unreadable file skipped:\n  masks/a/0.bmp: Unidentified"):
            examples = opened(folders, MASKED, unreadable="skip")
        assert examples.album.inventory.names == ["a/1.png", "a/2.png"]

    def test_a_partner_that_is_gone_later_is_named(self, folders):
        examples = opened(folders, MASKED)
        (folders / "masks" / "a" / "0.bmp").unlink()
        with pytest.raises(DataError, match=r"masks/a/0\.bmp: could be read when the run started"):
            examples.example(0, keyed_generator(0, 0, 0, "example"))

    def test_a_picture_that_changed_its_size_is_named(self, folders):
        examples = opened(folders)
        ramp(25, 40, 1).save(folders / "seen" / "a" / "0.png")
        with pytest.raises(
            DataError, match=r"0\.png: had 24×40 pixels when the run started, and now has 25×40"
        ):
            examples.example(0, keyed_generator(0, 0, 0, "example"))

    def test_spare_files_are_told_of_and_not_used(self, folders):
        Image.new("L", (40, 24)).save(folders / "masks" / "9.bmp")
        assert opened(folders, MASKED).info.dropped == ("masks/9.bmp: goes with no picture",)

    def test_too_small_to_be_cut_from(self, folders):
        ramp(8, 7, 1).save(folders / "seen" / "a" / "1.png")
        head, line = self.refusal(folders, resize="none").splitlines()
        assert head.startswith(
            f"{folders / 'seen'}: 1 of 3 pictures are smaller than the model's 8×8, and `resize: no"
        )
        assert line == "  a/1.png: 8×7"

    @pytest.mark.parametrize(
        ("conditions", "message"),
        [
            ((FromFolder(name="label", masks="m"),), "two conditions are called 'label'"),
            ((FromFolder(name="size", masks="m"),), "two conditions are called 'size'"),
            ((BEFORE, BEFORE), "two conditions are called 'before'"),
        ],
    )
    def test_names_that_are_taken(self, conditions, message):
        with pytest.raises(ValidationError, match=message):
            ImageFolder(path=".", conditions=conditions)

    def test_a_condition_from_nowhere(self):
        with pytest.raises(ValidationError, match="x comes from no folder"):
            FromFolder(name="x")


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0.05, 20))
def test_whatever_scaling_makes_goes_with_a_picture(height, width, scale):
    scaled = (max(1, round(height * scale)), max(1, round(width * scale)))
    assert goes_with((height, width), scaled)


@given(st.integers(10, 400), st.integers(10, 400))
def test_a_fifth_more_is_another_shape(height, width):
    assert not goes_with((height, width), (height + 2 + height // 5, width))
