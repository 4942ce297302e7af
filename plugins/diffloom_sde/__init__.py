"""Samplers that draw fresh noise, and those that walk in ways of their own."""

from __future__ import annotations

from diffloom import Registrar, hookimpl


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the samplers."""
