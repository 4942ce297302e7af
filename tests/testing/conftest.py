"""How mutants are judged: the check that was written for the mistake must be among those that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from diffloom.kinds import Component
from diffloom.testing import check_component, general
from diffloom.testing.checks import run
from diffloom.testing.examination import LAWS


@pytest.fixture
def passes() -> Callable[..., None]:
    """The component keeps every law."""

    def judge(component: type[Component], **fields: Any) -> None:
        assert check_component(component, **fields) == []

    return judge


@pytest.fixture
def caught() -> Callable[..., None]:
    """The component breaks this law. The others are left out: a hundred mutants times all laws take minutes."""

    def judge(check: str, component: type[Component], **fields: Any) -> None:
        (law,) = [law for law in (*general.CHECKS, *LAWS[component.kind]) if law.__name__ == check]
        failure = run(law, component(**fields), "mutant")
        assert failure is not None, f"survived {check}"
        assert failure.check == check
        assert not failure.message.startswith("raised "), f"a mistake of the mutant's own: {failure}"

    return judge


@pytest.fixture(name="check_component")
def _check_component() -> Callable[..., Any]:
    """The public function."""
    return check_component
