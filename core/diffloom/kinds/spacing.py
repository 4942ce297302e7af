"""Kind `spacing`: the times a sampler visits."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from diffloom.kinds.component import Component


class Spacing(Component):
    """Chooses the times a sampler visits. Needs no torch, so it has no separate object: the component does the work."""

    kind: ClassVar[str] = "spacing"

    @abstractmethod
    def times(self, *, length: int, steps: int) -> tuple[float, ...]:
        """`steps` strictly falling times in [0, length−1], the noisiest first."""
