"""The laws of lr_schedule."""

from __future__ import annotations

from diffloom.testing.checks import Check

CHECKS: tuple[Check, ...] = ()
