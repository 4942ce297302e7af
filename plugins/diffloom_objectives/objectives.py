"""The objectives a YAML file can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.kinds import Objective

if TYPE_CHECKING:
    from diffloom_objectives.simple import Simple


class SimpleObjective(Objective):
    """Unweighted squared error of the prediction, all times equally likely (Ho et al. 2020, eq. 14)."""

    name = "simple"

    def build(self) -> Simple:
        """The loss."""
        from diffloom_objectives.simple import Simple

        return Simple()
