"""What a bridge is: how one program names, shapes and describes one network, and what that is here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from diffloom.bridge.changes import SAME, Change
from diffloom.bridge.tensors import Tensors
from diffloom.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Entry:
    """One tensor of ours, and those of theirs that hold the same numbers."""

    ours: str
    """Its name in our module's state dict."""
    theirs: tuple[str, ...]
    """Their names, in the order that `change` takes them."""
    change: Change = SAME
    """How theirs become ours and back, exactly."""


@dataclass(frozen=True)
class Foreign:
    """A network of another program."""

    tensors: Tensors
    """Its weights, by their names; shapes can be asked for without reading them."""
    config: Mapping[str, Any] | None = None
    """The JSON beside it, where there is one."""
    assume: Mapping[str, str] = field(default_factory=dict)
    """The user's answers to what neither configuration, names nor shapes decide: `{"head_channels": "64"}`."""


@dataclass(frozen=True)
class Inferred:
    """What a foreign network is here."""

    part: Any
    """The component, or the section of one, that builds it."""
    shapes: Mapping[str, Any] = field(default_factory=dict)
    """The keyword arguments of its `build`: `{"space": SpaceInfo(...), "condition": ConditionInfo(...)}`."""
    told: tuple[str, ...] = ()
    """What was concluded from what, one line each, for the user to read."""

    def build(self) -> nn.Module:
        """The network, with whatever weights torch gives it."""
        module: nn.Module = self.part.build(**self.shapes)
        return module


class AmbiguousError(CheckpointError):
    """Weights that fit several networks, which compute different things."""

    def __init__(self, place: str, question: str, choices: Mapping[str, str]) -> None:
        """`choices` maps what the user may write (`head_channels=64`) to what it would mean."""
        listed = "\n".join(f"  --assume {answer}: {meaning}" for answer, meaning in choices.items())
        super().__init__(f"{place}: {question}; say which:\n{listed}")


class Names(Protocol):
    """What one program calls the tensors of one network."""

    format: ClassVar[str]
    """`diffusers`, `ldm`, `openai`, `transformers`, `open_clip`, ..."""

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        """Every tensor of our module's state dict, once, with theirs; found by walking the module."""
        ...

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        """Those of their names that hold nothing learned (position ids, tables) and are left out knowingly."""
        ...


class Bridge(Names, Protocol):
    """One program's weights of one network, and how to tell what network that is. Listed by `Component.bridges()`."""

    def infer(self, foreign: Foreign) -> Inferred | None:
        """What network these are the weights of; None when they are none that this bridge knows.

        Looks at configuration, names and shapes only. Raises AmbiguousError when these fit several networks, and
        CheckpointError when they are of its kind and yet no network that we can build, saying why.
        """
        ...

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        """Their configuration of this network, for export; None for a format that has none.

        Raises CheckpointError when it is a network that theirs cannot express, saying why.
        """
        ...
