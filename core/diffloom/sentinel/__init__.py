"""What watches over a run and names the causes of what goes wrong.

Importing this does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.sentinel.finding import Finding
    from diffloom.sentinel.sentinel import Watch

__all__ = ["Finding", "Watch"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"finding": ["Finding"], "sentinel": ["Watch"]}
)
