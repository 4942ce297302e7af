"""Whether a configuration resumes bit for bit: tried out, with a real kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.verification.trial import verify_resume
    from diffloom.verification.verdict import Verdict

__all__ = ["Verdict", "verify_resume"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"trial": ["verify_resume"], "verdict": ["Verdict"]}
)
