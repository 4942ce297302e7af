"""What the configuration says of one condition. Does not import torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from diffloom.kinds import Section

Name = Annotated[str, Field(min_length=1)]


class FromColumn(Section):
    """A condition and the column that it comes from."""

    name: Name
    """What the condition is called, as its conditioner is."""
    column: Name
    """Where it stands; a point leads into a column of several fields: `json.caption`."""
    mask: Name | None = None
    """The column of the mask that goes with a picture; the condition is then the pair."""
    classes: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Of a label whose column says nothing of classes: their names in the order of their ids. The column holds the ids,
    or the names."""
