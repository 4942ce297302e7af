"""Samplers that remember the steps before."""

from __future__ import annotations

from diffloom import Registrar, hookimpl


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the samplers."""
