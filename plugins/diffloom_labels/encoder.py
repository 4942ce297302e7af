"""The modules of the class-label conditioners. Legend: B batch, L tokens, D width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom_labels.vocabulary import Vocabulary


class ClassLabelEncoder(nn.Module):
    """Labels → class ids; the backbone owns their embedding. It has no weights."""

    null_id: Tensor

    def __init__(self, *, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        # The null class is the id after the last. A buffer, so that ids appear on the module's device; not
        # saved, since the configuration that travels with the weights says it.
        self.register_buffer("null_id", torch.tensor(vocabulary.count), persistent=False)

    def encode(self, raw: Sequence[Any]) -> Condition:
        """Class ids, (B,) int64, of labels given as ids or names. Raises ValueError for a label not known."""
        ids = [self.vocabulary.check(label) for label in raw]
        return Condition(class_B=torch.tensor(ids, dtype=torch.int64, device=self.null_id.device))

    def null(self, count: int) -> Condition:
        """The null class, `count` times."""
        return Condition(class_B=self.null_id.repeat(count))


class ClassTokenEncoder(nn.Module):
    """Labels → one learned token each."""

    def __init__(self, *, vocabulary: Vocabulary, width: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(vocabulary.count + 1, width)

    def encode(self, raw: Sequence[Any]) -> Condition:
        """(B, 1, D) of labels given as ids or names. Raises ValueError for a label not known."""
        return self._tokens([self.vocabulary.check(label) for label in raw])

    def null(self, count: int) -> Condition:
        """The null class's token, `count` times."""
        return self._tokens([self.vocabulary.count] * count)

    def _tokens(self, ids: list[int]) -> Condition:
        ids_BL = torch.tensor(ids, dtype=torch.int64, device=self.embedding.weight.device)[:, None]
        return Condition(tokens_BLD=self.embedding(ids_BL))
