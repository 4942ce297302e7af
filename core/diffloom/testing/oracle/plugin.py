"""Registers the oracle, through the same door as everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.hooks import hookimpl

if TYPE_CHECKING:
    from diffloom.registrar import Registrar


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the oracle."""
    registrar.add_lazily("backbone", oracle="diffloom.testing.oracle.component:Oracle")
