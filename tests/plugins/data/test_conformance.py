"""The laws of its kind hold. Oracle: the conformance kit."""

import pytest

from diffloom.testing import check_component
from diffloom_data import Digits, ImageFolder


@pytest.mark.parametrize("component", [Digits, ImageFolder])
def test_it_obeys_the_laws_of_its_kind(component):
    assert check_component(component) == []


def test_only_what_is_not_augmented_is_deterministic() -> None:
    """By the conformance kit's law on what they give; here, on what they say."""
    assert Digits().deterministic
    assert ImageFolder(path=".").deterministic
    assert not ImageFolder(path=".", flip=True).deterministic
    assert not ImageFolder(path=".", crop="random").deterministic
