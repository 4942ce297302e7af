"""What a cache of latents is of: enough to know whether a model would have made the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from diffloom.config import Document
from diffloom.config.plain import plain
from diffloom.kinds import LatentSpace


@dataclass(frozen=True)
class Source:
    """What the rows of a cache follow from."""

    weights: str
    """SHA-256 of the codec's weights."""
    space: Mapping[str, Any]
    """The codec's configuration: without its normalisation, which comes after the cache, and wherever its weights
    lay."""
    image: Mapping[str, Any]
    data: Mapping[str, Any]
    """The configuration's sections."""
    examples: int
    """How many examples the data hold."""

    @classmethod
    def of(cls, document: Document, *, weights: str, examples: int) -> Source:
        """What a model's cache has to be of."""
        space = document.space
        assert isinstance(space, LatentSpace)
        bare = space.unnormalised().model_copy(update={"weights": None})
        return cls(weights, plain(bare), plain(document.image), plain(document.data), examples)


@dataclass(frozen=True)
class Description:
    """All that decides a cache's bytes."""

    source: Source
    views: int
    """How many times each example was drawn and encoded; more than once only where every draw is another."""
    seed: int
    """Keys the draws, as `train.seed` does in training."""
    conditions: tuple[str, ...]
    """The raw conditions that are kept."""
    dtype: str
    """`float32` or `float16`."""
    batch_size: int
    """Pictures in the encoder at once: some kernels round otherwise in another."""
    shard_examples: int
    """Rows in a file; the last may have fewer."""

    @property
    def rows(self) -> int:
        """Encoded examples in all: every example's first view, then every example's second, …"""
        return self.views * self.source.examples

    @property
    def shards(self) -> int:
        """How many files."""
        return -(-self.rows // self.shard_examples)

    def shard_rows(self, shard: int) -> range:
        """The rows of a file."""
        start = shard * self.shard_examples
        return range(start, min(start + self.shard_examples, self.rows))

    def metadata(self, shard: int) -> dict[str, Any]:
        """What a file says of itself."""
        return {"description": self.plain(), "first_row": self.shard_rows(shard).start}

    def plain(self) -> dict[str, Any]:
        """In JSON's types."""
        fields = asdict(self)
        return {**fields, "conditions": list(self.conditions)}

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Description:
        """What `plain` gave. Raises TypeError or KeyError for anything else."""
        rest = {key: value for key, value in fields.items() if key not in ("source", "conditions")}
        return cls(source=Source(**fields["source"]), conditions=tuple(fields["conditions"]), **rest)


def shard_name(shard: int) -> str:
    """A file's name in its folder."""
    return f"latents-{shard:05d}.safetensors"
