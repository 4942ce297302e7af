"""The conformance kit: a plugin author's whole test file is one call.

    from diffloom.testing import conformance

    def test_conformance():
        conformance("acme-moon")

Every component is examined by the laws of its kind; the module `diffloom.testing.<kind>` states them. The names are
loaded on first use, so that registering the oracle (`diffloom.testing.oracle`) does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.testing.examination import check_component, conformance
    from diffloom.testing.guided_model import save_guided_model
    from diffloom.testing.report import Failure, NonConformityError, Report

__all__ = [
    "Failure",
    "NonConformityError",
    "Report",
    "check_component",
    "conformance",
    "save_guided_model",
]

__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "examination": ["check_component", "conformance"],
        "guided_model": ["save_guided_model"],
        "report": ["Failure", "NonConformityError", "Report"],
    },
)
