"""How a law is stated: a function that raises `BrokenLawError` when a component breaks it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from diffloom.kinds import Component
from diffloom.testing.report import Failure

Check: TypeAlias = Callable[[Any], None]
"""Takes a component; its name is the law's name, its docstring the law."""


class BrokenLawError(Exception):
    """A law that does not hold."""


def expect(holds: bool, expected: str, came: object) -> None:
    """Raise BrokenLawError unless it holds."""
    if not holds:
        raise BrokenLawError(f"expected {expected}; got {came}")


def expect_close(came: Tensor, wanted: Tensor, *, within: float, what: str) -> None:
    """Both have one shape and differ by at most `within`, relative to 1 or to the largest wanted value."""
    expect(came.shape == wanted.shape, f"{what} of shape {tuple(wanted.shape)}", tuple(came.shape))
    if wanted.numel() == 0:
        return
    scale = max(1.0, wanted.double().abs().max().item())
    error = (came.double() - wanted.double()).abs().max().item() / scale
    expect(error <= within, f"{what} within {within:g}", f"an error of {error:.3g}")  # NaN fails this too


def expect_refusal(action: Callable[[], object], what: str) -> None:
    """The user's mistake is a ValueError, which is told without a traceback."""
    try:
        came = action()
    except ValueError:
        return
    except Exception as error:
        raise BrokenLawError(
            f"expected a ValueError for {what}; got {type(error).__name__}: {error}"
        ) from error
    raise BrokenLawError(f"expected a ValueError for {what}; got {came!r}")


def run(check: Check, component: Component, label: str) -> Failure | None:
    """The check's failure, where it has one. Randomness is seeded, and the caller's left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            check(component)
        except BrokenLawError as mismatch:
            return Failure(label, check.__name__, str(mismatch))
        except Exception as error:  # whatever a component raises is a finding, and the next check runs
            frame = traceback.extract_tb(error.__traceback__)[-1]
            message = f"raised {type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"
            return Failure(label, check.__name__, message)
    return None
