"""Pictures to look at."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def noise_picture():
    """An RGB picture of seeded noise, which no codec can make small."""

    def make(*, height=16, width=16, seed=0):
        pixels_HWC = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels_HWC)

    return make
