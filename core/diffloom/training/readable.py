"""An example to look at, beside the training: the one that is asked for, or else the next that can be read."""

from __future__ import annotations

from diffloom.errors import DataError
from diffloom.kinds import Example, Examples
from diffloom.process import keyed_generator
from diffloom.training.feed import ATTEMPTS


def readable(examples: Examples, index: int, *, seed: int, purpose: str) -> Example:
    """Example `index`; where it cannot be read the first behind it that can. Random choices are keyed by its number.

    Those that cannot are told of when the training meets them. Raises DataError where so many in a row cannot be read
    that it is no accident.
    """
    failures: list[str] = []
    for number in range(index, index + ATTEMPTS):
        place = number % len(examples)
        try:
            return examples.example(place, keyed_generator(seed, place, 0, purpose))
        except (DataError, OSError) as error:
            failures.append(f"  example {place}: {error}")
    listed = "\n".join(dict.fromkeys(failures))
    raise DataError(f"{ATTEMPTS} examples in a row cannot be read; look at where the data lie:\n{listed}")
