"""Backbone `film_net`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt

from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo

if TYPE_CHECKING:
    from acme_moon.film_model import FilmModel


class FilmNet(Backbone):
    """Depthwise convolutions at full resolution, modulated by time and condition; reads class ids and vectors."""

    name = "film_net"

    width: Annotated[int, Field(gt=0, multiple_of=8)] = 32
    """Channels between the blocks."""
    blocks: PositiveInt = 3
    """How many blocks; each sees two pixels further."""

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> FilmModel:
        """The network. Raises ValueError for tokens and stacked pictures."""
        if condition.tokens or condition.concat:
            raise ValueError("film_net reads class ids and vectors, not tokens or stacked pictures")
        from acme_moon.film_model import FilmModel

        return FilmModel(
            in_channels=space.channels,
            out_channels=space.channels * (2 if self.learn_variance else 1),
            width=self.width,
            blocks=self.blocks,
            classes=condition.classes,
            vector_width=condition.vector,
        )
