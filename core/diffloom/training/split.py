"""How a step's examples are divided: among processes, and within each into passes that fit its memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from diffloom.errors import ConfigError, Problem


@dataclass(frozen=True, kw_only=True)
class Split:
    """One process's part of every batch. All parts together are the batch, whatever the split."""

    batch_size: int
    """Examples in one optimiser step, over all processes."""
    micro_batch_size: int | None = None
    """Most examples in one pass; None puts no bound."""
    process: int = 0
    """This process's number."""
    processes: int = 1

    @cached_property
    def passes(self) -> tuple[range, ...]:
        """The places within a batch that each pass of this process takes; as many passes in every process."""
        self.require_possible()
        count, chunks = self._passes, self.processes * self._passes
        bounds = [chunk * self.batch_size // chunks for chunk in range(chunks + 1)]
        first = self.process * count
        return tuple(range(bounds[chunk], bounds[chunk + 1]) for chunk in range(first, first + count))

    def require_possible(self) -> None:
        """Raises ConfigError for a batch that cannot be divided so."""
        if self.processes * self._passes > self.batch_size:
            within = f" in passes of at most {self.micro_batch_size}" if self.micro_batch_size else ""
            way_out = "train.micro_batch_size" if self.micro_batch_size else "use fewer processes"
            raise ConfigError(
                [
                    Problem(
                        "train.batch_size",
                        f"{self.batch_size} examples cannot be divided among {self.processes} processes{within}; "
                        f"set it higher, or {way_out}",
                    )
                ]
            )

    def __str__(self) -> str:
        """As a run tells it: `each batch of 8 in 2 passes of 2 processes`."""
        processes = f"{self.processes} processes" if self.processes > 1 else "1 process"
        passes = f"{len(self.passes)} passes" if len(self.passes) > 1 else "1 pass"
        return f"each batch of {self.batch_size} in {passes} of {processes}"

    @property
    def _passes(self) -> int:
        """Passes in each process: the fewest with which no pass is too large."""
        if self.micro_batch_size is None:
            return 1
        return -(-self.batch_size // (self.micro_batch_size * self.processes))
