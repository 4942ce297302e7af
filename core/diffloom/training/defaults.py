"""Examples with the conditions that their data leave out, where a conditioner has a value for that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diffloom.config import Document
from diffloom.kinds import DataInfo, Example, Examples


@dataclass(frozen=True)
class WithDefaults:
    """The same examples; what one lacks of `defaults` is added to its conditions."""

    examples: Examples
    defaults: dict[str, Any]

    @property
    def info(self) -> DataInfo:
        """What the data say of themselves."""
        return self.examples.info

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Example `index`."""
        example = self.examples.example(index, rng)
        return replace(example, conditions=self.defaults | example.conditions)


def with_defaults(examples: Examples, document: Document) -> Examples:
    """The examples with every default that the document's conditioners have; themselves where there is none."""
    found = {key: part.default(document.setting) for key, part in document.conditioners.items()}
    defaults = {key: value for key, value in found.items() if value is not None}
    return WithDefaults(examples, defaults) if defaults else examples
