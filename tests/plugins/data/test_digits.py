"""Data `digits`. Oracle: scikit-learn's own arrays, and counting."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom_data import Digits

SHAPE = ImageInfo(height=8, width=8, channels=1)


def every_example(examples, rng):
    return [examples.example(i, rng) for i in range(len(examples))]


def test_all_is_scikit_learns_own_arrays(rng):
    digits = load_digits()
    examples = Digits(split="all").build(image=SHAPE)
    got = every_example(examples, rng)
    assert len(examples) == examples.info.examples == 1797
    assert examples.info.classes == {"label": tuple("0123456789")}
    images_NHW = np.stack([example.image_CHW[0] for example in got])
    assert images_NHW.dtype == np.float32
    assert np.array_equal((images_NHW + 1) * 8, digits.images)  # both sides are exact in binary
    assert images_NHW.min() == -1
    assert images_NHW.max() == 1
    labels = [example.conditions["label"] for example in got]
    assert labels == digits.target.tolist()
    assert {type(label) for label in labels} == {int}


@settings(deadline=None, max_examples=25)
@given(st.floats(0.02, 0.95), st.integers(0, 2**32 - 1))
def test_train_and_heldout_share_no_image_and_are_all_in_proportion(holdout, seed):
    rows = {}
    for split in ("train", "heldout"):
        examples = Digits(split=split, holdout=holdout, seed=seed).build(image=SHAPE)
        rows[split] = examples
    # No two of the 1,797 images are equal, so an image's bytes are its identity.
    images = {split: [image.tobytes() for image in part.images_NCHW] for split, part in rows.items()}
    assert not set(images["train"]) & set(images["heldout"])
    assert len(set(images["train"]) | set(images["heldout"])) == 1797
    assert len(images["heldout"]) == int(np.ceil(1797 * holdout))
    held, whole = Counter(rows["heldout"].labels_N), Counter(load_digits().target)
    for digit, count in whole.items():
        # Stratified: each digit's share is its exact proportion of the held-out images, rounded up or down.
        assert abs(held[digit] - count * len(images["heldout"]) / 1797) < 1


def test_the_seed_chooses_what_is_held_out_and_nothing_else_does(rng):
    def images(seed):
        return Digits(split="heldout", seed=seed).build(image=SHAPE).images_NCHW

    assert np.array_equal(images(3), images(3))
    assert not np.array_equal(images(3), images(4))


def test_an_example_is_the_callers_to_change(rng):
    examples = Digits().build(image=SHAPE)
    before = examples.example(5, rng).image_CHW
    examples.example(5, rng).image_CHW[:] = 0
    assert np.array_equal(examples.example(5, rng).image_CHW, before)


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 3), (16, 16, 1), (8, 16, 1)])
def test_another_shape_is_refused_with_the_remedy(height, width, channels):
    with pytest.raises(DataError) as caught:
        Digits().build(image=ImageInfo(height=height, width=width, channels=channels))
    assert "image: {size: 8, channels: 1}" in str(caught.value)
    assert f"{height}×{width}" in str(caught.value)
