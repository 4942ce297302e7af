"""An example of the right shape, for a plan of a model whose data are not here."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffloom.config import AnyDocument, Document
from diffloom.errors import DataError
from diffloom.kinds import Conditioner, DataInfo, Example, Setting


class StandIn:
    """A black picture with conditions that the model takes, as the conformance kit makes them."""

    def __init__(self, document: AnyDocument) -> None:
        self._shape = document.image.info.shape
        self._conditioners = dict(document.conditioners) if isinstance(document, Document) else {}
        self._setting = document.setting if isinstance(document, Document) else None

    @property
    def info(self) -> DataInfo:
        """It is one example, of which nothing is known."""
        return DataInfo(examples=1)

    def __len__(self) -> int:
        return 1

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """The example. Raises DataError for a condition that only real data can give."""
        conditions = {}
        for key, conditioner in self._conditioners.items():
            assert self._setting is not None, "what has conditioners has a setting"
            conditions[key] = _raw(key, conditioner, self._setting)
        return Example(np.zeros(self._shape, np.float32), conditions)


def _raw(key: str, conditioner: Conditioner, setting: Setting) -> Any:
    """A raw condition in its normal form: the first of the specimens that is taken, or the default."""
    for text in conditioner.specimen_texts:
        try:
            return conditioner.parse(text)
        except ValueError:
            continue  # the kit's specimens are for all kinds of conditions
    default = conditioner.default(setting)
    if default is None:
        raise DataError(f"conditioners.{key}: what it takes is known once the data are there")
    return default
