"""The laws of its kind hold, held and streamed. Oracle: the conformance kit."""

from diffloom.testing import check_component
from diffloom_hub_data import HuggingFace


def test_it_obeys_the_laws_of_its_kind() -> None:
    assert check_component(HuggingFace) == []


def test_what_it_says_of_being_random() -> None:
    assert HuggingFace(path="x").deterministic
    assert not HuggingFace(path="x", flip=True).deterministic
    assert not HuggingFace(path="x", crop="random").deterministic
    assert HuggingFace(path="x", crop="random", resize="stretch").deterministic
