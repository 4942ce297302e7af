"""latent-diffusion's class embedder ↔ `class_token`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from torch import nn

from diffloom.bridge import Entry, Foreign, Inferred
from diffloom.kinds import ImageInfo, Setting, SpaceInfo
from diffloom_labels.token import ClassToken

UNKNOWN = Setting(
    image=ImageInfo(height=1, width=1, channels=1), space=SpaceInfo(channels=1, height=1, width=1)
)
"""The embedder depends on nothing around it."""


class LDMClassEmbedder:
    """`embedding.weight`, (K + 1, D): the last class is the null one, as in the ImageNet models (1001 rows)."""

    format: ClassVar[str] = "ldm"

    def infer(self, foreign: Foreign) -> Inferred | None:
        if set(foreign.tensors) != {"embedding.weight"}:
            return None
        rows, width = foreign.tensors.shape("embedding.weight")
        return Inferred(
            part=ClassToken(classes=rows - 1, width=width, dropout=0.1),
            shapes={"setting": UNKNOWN, "codec": None},
            told=(f"{rows} class embeddings: {rows - 1} classes and the null class",),
        )

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        yield Entry("embedding.weight", ("embedding.weight",))

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return ()

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        return None
