"""The laws of its kind hold. Oracle: the conformance kit."""

import pytest

from diffloom.testing import check_component
from diffloom_data import Digits, ImageFolder


@pytest.mark.parametrize("component", [Digits, ImageFolder])
def test_it_obeys_the_laws_of_its_kind(component):
    assert check_component(component) == []
