"""The parts keep the laws of their kinds."""

from diffloom.testing import conformance


def test_conformance() -> None:
    conformance("acme-moon")
