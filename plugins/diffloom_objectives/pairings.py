"""The pairings a YAML file can name. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.kinds import Pairing

if TYPE_CHECKING:
    from diffloom_objectives.pairs import Immiscible, Independent


class IndependentPairing(Pairing):
    """Each example keeps the noise that was drawn for it (Ho et al. 2020, algorithm 1)."""

    name = "independent"

    def build(self) -> Independent:
        """The pairs."""
        from diffloom_objectives.pairs import Independent

        return Independent()


class ImmisciblePairing(Pairing):
    """Noise goes to the examples so that the sum of their distances is least (Li et al. 2024, algorithm 1).

    The noise that is paired is the target too. What an example gets depends on the batch it is in.
    """

    name = "immiscible"

    def build(self) -> Immiscible:
        """The pairs."""
        from diffloom_objectives.pairs import Immiscible

        return Immiscible()
