"""Class labels as a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt

from diffloom.kinds import Codec, ConditionInfo, Setting
from diffloom_labels.conditioner import ClassLabel

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge


class ClassToken(ClassLabel):
    """One class out of K as a token that a network with cross-attention reads; the null class is token K.

    Rombach et al. 2022, section 4.3.1, for class-conditional ImageNet: `classes: 1000`, `width: 512`.
    """

    name = "class_token"

    width: PositiveInt = 512
    """Width of the learned token."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(classes=3, width=4, dropout=0.1),)

    @classmethod
    def bridges(cls) -> Iterable[Bridge]:
        from diffloom_labels.bridge import LDMClassEmbedder

        return (LDMClassEmbedder(),)

    def info(self, setting: Setting) -> ConditionInfo:
        _ = self.vocabulary  # known only once the classes are
        return ConditionInfo(tokens=self.width)

    def build(self, *, setting: Setting, codec: Codec) -> nn.Module:
        from diffloom_labels.encoder import ClassTokenEncoder

        return ClassTokenEncoder(vocabulary=self.vocabulary, width=self.width)
