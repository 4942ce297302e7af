"""Examples that could not be read while a run goes on: told by name, and counted in the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diffloom.training.feed import Batch

NAMED = 20
"""How many a run tells of by name; further ones are only counted."""


class Replaced:
    """Those of one process."""

    def __init__(self) -> None:
        self._named: set[str] = set()
        self._since_row = 0

    def heard(self, passes: Sequence[Batch], *, step: int) -> Iterator[str]:
        """Take in the batches of a step; gives a line for each example that was not told of before."""
        for failure in (failure for batch in passes for failure in batch.replaced):
            self._since_row += 1
            if failure in self._named or len(self._named) > NAMED:
                continue
            self._named.add(failure)
            if len(self._named) > NAMED:
                yield f"step {step}: more examples cannot be read; from here on metrics.jsonl counts them"
            else:
                yield f"step {step}: cannot be read, and another example stands in its place: {failure}"

    def read(self) -> dict[str, int]:
        """How many there were since the last reading, for a row; nothing where there were none."""
        count, self._since_row = self._since_row, 0
        return {"replaced_examples": count} if count else {}
