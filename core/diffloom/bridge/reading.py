"""How a source is read: what the user allowed and answered, and who may know its weights."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffloom.bridge.contract import Foreign
from diffloom.bridge.pieces import AnswersOf, Known, Piece, recognise
from diffloom.bridge.sources.opened import Opened, open_weights
from diffloom.bridge.tensors import Tensors
from diffloom.registry import Registry


@dataclass(frozen=True)
class Reading:
    """One reading of one source."""

    registry: Registry
    pickle: bool
    """Whether pickles may be read."""
    assume: Mapping[str, str]
    """The user's answers."""

    def answered(self, **answers: str) -> Reading:
        """The same with these answers, which nobody needs to give."""
        return replace(self, assume=ChainMap(answers, self.assume))  # type: ignore[arg-type]  # only read

    def open(self, path: Path) -> Opened:
        """The weights at a path. Raises CheckpointError."""
        return open_weights(path, pickle=self.pickle, assume=self.assume)

    def known(
        self,
        name: str,
        kind: str | None,
        tensors: Tensors,
        *,
        averages: Tensors | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Known:
        """What network these tensors are. Raises CheckpointError."""
        foreign = Foreign(tensors, config, AnswersOf(name, self.assume))
        return recognise(Piece(name, kind, foreign, averages), self.registry)

    def component(self, name: str, kind: str | None, path: Path) -> Known:
        """The network of a component's folder or file. Raises CheckpointError."""
        opened = self.open(path)
        return self.known(name, kind, opened.tensors, averages=opened.averages, config=opened.config)
