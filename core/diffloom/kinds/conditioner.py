"""Kind `conditioner`: a raw condition (labels, prompts, images) → `Condition`."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from diffloom.kinds.component import Component
from diffloom.kinds.info import ConditionInfo, DataInfo

if TYPE_CHECKING:
    from typing_extensions import Self

    from torch import nn


class Conditioner(Component):
    """Turns a raw condition into what the backbone reads; owns its null condition and its dropout.

    The module has `encode(raw: Sequence[Any]) -> Condition` (one row for each raw value) and
    `null(count: int) -> Condition` (the null condition, `count` rows, of the same slots and shapes).
    """

    kind: ClassVar[str] = "conditioner"

    dropout: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that training replaces an example's condition by the null one. Guidance needs it above 0."""

    def learn(self, key: str, data: DataInfo) -> Self:
        """This configuration completed with what the data know (class names); `key` is its name in the YAML."""
        return self

    @abstractmethod
    def info(self) -> ConditionInfo:
        """Which slots it fills and how wide; known without building."""

    @abstractmethod
    def parse(self, text: str) -> Any:
        """A raw condition written on the command line (`--label 7`). Raises ValueError saying what is allowed."""

    @abstractmethod
    def check(self, raw: Any) -> Any:
        """The raw condition in its normal form. Raises ValueError saying what is allowed."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The encoder; its parameters, where it has any, are trained with the backbone."""
