"""Several guidances at once."""

from __future__ import annotations

from collections.abc import Sequence

from diffloom.kinds import Guide, Pull
from diffloom.process import Aims, Model


class Combined:
    """All pulls of several guidances: their shifts add up, and their views share one batch."""

    def __init__(self, *, guides: Sequence[Guide]) -> None:
        self.guides = tuple(guides)

    def __call__(self, aims: Aims, model: Model) -> list[Pull]:
        """The pulls of one walk."""
        return [pull for guide in self.guides for pull in guide(aims, model)]
