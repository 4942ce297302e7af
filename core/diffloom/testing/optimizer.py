"""The laws of optimizer."""

from __future__ import annotations

from diffloom.testing.checks import Check

CHECKS: tuple[Check, ...] = ()
