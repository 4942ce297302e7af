"""A latent diffusion model as calibration and caching see it: its encoder and its data."""

from __future__ import annotations

from dataclasses import dataclass

from diffloom.config import Document
from diffloom.config.document import Train
from diffloom.kinds import Data, Examples, Stream
from diffloom.latents.encoder import LatentEncoder
from diffloom.training.feed import Feed
from diffloom.training.order import InOrder
from diffloom.training.preparation import prepare
from diffloom.training.split import Split
from diffloom.training.stream_feed import StreamFeed


@dataclass(frozen=True)
class LatentModel:
    """The parts of a model that are there before its training."""

    document: Document
    """Completed with what the data know."""
    train: Train
    data: Data
    examples: Examples
    """All; of a stream the first."""
    encoder: LatentEncoder
    stream: Stream | None = None
    """Where the data are one."""

    @classmethod
    def of(cls, document: Document, encoder: LatentEncoder) -> LatentModel:
        """Open the data of a configuration, their pictures all in the image's own shape whatever buckets there are.

        Raises ConfigError and DataError as training does.
        """
        image = document.image
        prepared = prepare(document.model_copy(update={"image": image.model_copy(update={"buckets": None})}))
        assert isinstance(prepared.document, Document)
        completed = prepared.document.model_copy(update={"image": image})
        assert completed.data is not None, "prepare() asks for data"
        return cls(completed, prepared.train, completed.data, prepared.examples, encoder, prepared.stream)

    def shuffled(self) -> Feed | StreamFeed:
        """Its pictures in batches as training's, in training's order."""
        if self.stream is None:
            return self._feed((), order=None)
        return StreamFeed(
            stream=self.stream,
            keys=(),
            shape=self.document.image.info.shape,
            seed=self.train.seed,
            split=Split(batch_size=self.train.batch_size),
            workers=self.train.workers,
        )

    def in_order(self, *, keys: tuple[str, ...] = ()) -> Feed:
        """All of its examples in batches, with these conditions, in the data's order."""
        assert self.stream is None, "a stream's examples are not counted"
        return self._feed(keys, order=InOrder(examples=len(self.examples)))

    def _feed(self, keys: tuple[str, ...], *, order: InOrder | None) -> Feed:
        return Feed(
            examples=self.examples,
            keys=keys,
            shape=self.document.image.info.shape,
            seed=self.train.seed,
            split=Split(batch_size=self.train.batch_size),
            order=order,
            workers=self.train.workers,
        )
