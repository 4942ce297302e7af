"""Which part of the work is this process's, where a launcher has begun several.

They share a folder and nothing else: who draws which images follows from the number of a process, so that none waits
for another, and the loss of one costs what it had still to draw.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffloom.errors import DiffloomError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Share:
    """This process among those that draw together."""

    index: int = 0
    count: int = 1
    local_index: int = 0
    """Its number on this machine: that of its GPU."""

    @classmethod
    def here(cls) -> Share:
        """As torchrun, `accelerate launch` and the like tell each of their processes by its environment."""
        return cls(
            index=int(os.environ.get("RANK", "0")),
            count=int(os.environ.get("WORLD_SIZE", "1")),
            local_index=int(os.environ.get("LOCAL_RANK", "0")),
        )

    @property
    def is_main(self) -> bool:
        """Whether this one shows how far it is."""
        return self.index == 0

    def device(self, name: torch.device | str | None) -> torch.device:
        """Where this process computes. Raises DiffloomError for one device where each needs its own."""
        import torch

        from diffloom.device import usable_device

        if self.count > 1 and name is not None and ":" in str(name):
            raise DiffloomError(
                f"device {str(name)!r}: each of several processes has a device of its own; say cuda or cpu"
            )
        found = usable_device(name)
        if self.count == 1 or found.type != "cuda":
            return found
        return torch.device("cuda", self.local_index % torch.cuda.device_count())

    def of(self, number: int) -> bool:
        """Whether the unit of work of this number is this process's: they take turns."""
        return number % self.count == self.index
