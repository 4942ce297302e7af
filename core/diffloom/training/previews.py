"""Samples drawn while training: always the same seeds and conditions, so that pictures of two steps compare."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from PIL.Image import Image

from diffloom.kinds import Examples
from diffloom.pipeline import Pipeline
from diffloom.process import Step
from diffloom.training.readable import readable

FEWEST, MOST = 16, 64
"""How many are drawn: whole rounds of the classes, within these."""


class Previews:
    """What is drawn, settled once."""

    def __init__(self, pipeline: Pipeline, examples: Examples, *, seed: int) -> None:
        self.pipeline = pipeline
        self.examples = examples
        self.seed = seed
        sizes = [len(names) for key, names in examples.info.classes.items() if key in self._keys]
        self.columns = max(sizes, default=1)
        rounds = -(-FEWEST // self.columns)
        self.count = min(MOST, rounds * self.columns)

    @property
    def _keys(self) -> tuple[str, ...]:
        return tuple(self.pipeline.document.conditioners)

    @cached_property
    def conditions(self) -> dict[str, list[Any]]:
        """For a label every class in turn; for other conditions those of the first examples, but where samples have a
        value of their own, as the size of the model's picture."""
        classes = self.examples.info.classes
        turns = {
            key: [i % len(classes[key]) for i in range(self.count)] for key in self._keys if key in classes
        }
        document = self.pipeline.document
        others = [
            key
            for key, conditioner in document.conditioners.items()
            if key not in classes and conditioner.default(document.setting) is None
        ]
        if not others:
            return turns
        shown = [self._conditions_of(i % len(self.examples)) for i in range(self.count)]
        return {**turns, **{key: [conditions[key] for conditions in shown] for key in others}}

    def _conditions_of(self, index: int) -> dict[str, Any]:
        return readable(self.examples, index, seed=self.seed, purpose="preview").conditions

    def draw(self, on_step: Callable[[Step], None]) -> tuple[Image, dict[str, Any]]:
        """Draw with the configuration's `sampling`. Returns a sheet, a row for each round, and its recipe.

        The copy that drew is forgotten, also where `on_step` ended it: weights change before it is of use again, and
        training needs the memory.
        """
        conditions: dict[str, Any] = self.conditions
        try:
            output = self.pipeline.sample(n=self.count, seed=self.seed, on_step=on_step, **conditions)
        finally:
            self.pipeline.forget_ready()
        return output.grid(columns=self.columns if 1 < self.columns <= FEWEST else None), output.recipe
