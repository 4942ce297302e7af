"""How much memory there is for a computation, and how it is divided where that is too little."""

from __future__ import annotations

import logging

logger = logging.getLogger("diffloom")
SHARE = 0.8
"""Of the memory that is free, what a computation may take: others take some meanwhile."""
TILE = 32
"""Side, in pixels of what enters, of the windows that a picture is computed in for which memory is too short, or from
which on it is computed in lean strips."""


class Division:
    """Chooses how many pictures are computed at once, and whether in windows; says so once."""

    def __init__(self) -> None:
        self.told = False

    def __call__(
        self, *, count: int, one_bytes: int, side: int, free: int | None, rows: int | None
    ) -> tuple[int, int | None]:
        """(pictures at once, side of the windows or None), for `count` pictures that take `one_bytes` each, whose
        longer side is `side`. `rows` was said by the user.
        """
        if free is None or not count:
            return rows or max(count, 1), None
        fitting = int(SHARE * free // one_bytes)
        tile = TILE if not fitting and side > TILE else None
        chosen = rows or min(count, max(fitting, 1))
        if (chosen < (rows or count) or tile) and not self.told:
            self.told = True
            logger.warning(
                "%d pictures of %d MiB each, and %d MiB are free: an autoencoder computes %d at once%s; the pictures "
                "are the same (`rows` and `tile` of the space choose otherwise)",
                count,
                one_bytes >> 20,
                free >> 20,
                chosen,
                ", and twice what it need not hold, which takes longer" if tile else "",
            )
        return chosen, tile
