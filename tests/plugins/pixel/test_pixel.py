"""Pixel space. Oracle: the definition (identity)."""

import pytest
import torch

from diffloom.kinds import ImageInfo, SpaceInfo
from diffloom_pixel import Pixel


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (32, 48, 3)])
def test_the_space_has_the_pictures_own_shape(height, width, channels):
    image = ImageInfo(height=height, width=width, channels=channels)
    assert Pixel().info(image) == SpaceInfo(channels=channels, height=height, width=width)


def test_encode_and_decode_change_nothing_even_outside_the_range():
    image = ImageInfo(height=4, width=6, channels=3)
    space = Pixel().build(image=image)
    images_BCHW = torch.randn(5, *image.shape, generator=torch.Generator().manual_seed(0)) * 3
    assert images_BCHW.abs().max() > 1
    assert torch.equal(space.encode(images_BCHW), images_BCHW)
    assert torch.equal(space.decode(images_BCHW), images_BCHW)
    assert space.state_dict() == {}
