"""Pictures on disk for the tests of data."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch):
    """A cache folder of the test's own, never the user's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def rng():
    return np.random.Generator(np.random.Philox(key=7))


@pytest.fixture
def noise_picture():
    """An RGB picture of seeded noise, which no codec can make small."""

    def make(*, height=16, width=16, seed=0):
        pixels_HWC = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels_HWC)

    return make
