"""Kind `conditioner`: a raw condition (labels, prompts, images) → `Condition`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import Field

from diffloom.kinds.component import Component
from diffloom.kinds.info import ConditionInfo, DataInfo, Setting
from diffloom.kinds.space import Codec

if TYPE_CHECKING:
    from typing import Self

    from torch import nn

    from diffloom.condition import Condition


class Encoder(Protocol):
    """What the module that a conditioner builds can do."""

    def encode(self, raw: Sequence[Any]) -> Condition:
        """Raw conditions, in their normal form → their slots, one row for each."""
        ...

    def null(self, count: int) -> Condition:
        """The null condition, `count` rows, of the same slots and shapes."""
        ...


class Conditioner(Component):
    """Turns a raw condition into what the backbone reads; owns its null condition and its dropout."""

    kind: ClassVar[str] = "conditioner"
    specimen_texts: ClassVar[tuple[str, ...]] = (
        "0",
        "1",
        "2",
        "0.25",
        "0.5,0.75",
        "a full moon",
        "a dark sky",
    )
    """Raw conditions as one writes them on the command line. The conformance kit uses those that `parse` takes, and
    needs two that differ.
    """

    dropout: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that training replaces an example's condition by the null one. Guidance needs it above 0."""

    def learn(self, key: str, data: DataInfo) -> Self:
        """This configuration completed with what the data know (class names); `key` is its name in the YAML."""
        return self

    def default(self, setting: Setting) -> Any:
        """The raw condition of samples for which none is given; None, for most, is the null condition."""
        return None

    def recorded(self, raw: Any) -> Any:
        """The raw condition as a recipe tells it, in JSON's types: itself, for most."""
        return raw

    @abstractmethod
    def info(self, setting: Setting) -> ConditionInfo:
        """Which slots it fills and how wide; known without building. Raises ValueError when it fits no such model."""

    @abstractmethod
    def parse(self, text: str) -> Any:
        """A raw condition written on the command line (`--label 7`). Raises ValueError saying what is allowed."""

    @abstractmethod
    def check(self, raw: Any) -> Any:
        """The raw condition in its normal form. Raises ValueError saying what is allowed."""

    def lost(self, raw: Any) -> str | None:
        """What the model is not shown of a raw condition in its normal form, in words; None, for most, is nothing."""
        return None

    @abstractmethod
    def build(self, *, setting: Setting, codec: Codec) -> nn.Module:
        """An `Encoder` and a module; those of its parameters that require gradients are trained with the backbone.

        `codec` is the space's, for conditions that are pictures; it is not the encoder's own part, so an encoder that
        keeps it holds it outside its tree of modules (in a tuple).
        """
