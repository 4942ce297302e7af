"""The conformance kit: a plugin author's whole test file is one call.

    from diffloom.testing import conformance

    def test_conformance():
        conformance("acme-moon")

Every component is examined by the laws of its kind; the module `diffloom.testing.<kind>` states them.
"""

from diffloom.testing.conformance import check_component, conformance
from diffloom.testing.report import Failure, NonConformityError, Report

__all__ = ["Failure", "NonConformityError", "Report", "check_component", "conformance"]
