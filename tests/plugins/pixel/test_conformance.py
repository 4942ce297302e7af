"""The laws of its kind hold. Oracle: the conformance kit."""

import pytest

from diffloom.testing import check_component
from diffloom_pixel import Pixel


@pytest.mark.parametrize("component", [Pixel])
def test_it_obeys_the_laws_of_its_kind(component):
    assert check_component(component) == []
