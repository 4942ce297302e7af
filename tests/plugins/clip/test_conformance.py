"""The laws of its kind hold. Oracle: the conformance kit."""

from diffloom.testing import check_component
from diffloom_clip import ClipText


def test_it_obeys_the_laws_of_its_kind():
    assert check_component(ClipText) == []
