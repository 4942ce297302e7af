"""The criteria keep the laws of their kind. Oracle: the conformance kit."""

import pytest

from diffloom.testing import check_component
from diffloom_criteria import Lp, PatchAdversarial, Perceptual


@pytest.mark.parametrize("component", [Lp, Perceptual, PatchAdversarial])
def test_it_keeps_the_laws(component):
    assert check_component(component) == []
