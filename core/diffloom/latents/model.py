"""A latent diffusion model as calibration and caching see it: its encoder and its data."""

from __future__ import annotations

from dataclasses import dataclass

from diffloom.config import Document
from diffloom.config.document import Train
from diffloom.kinds import Data, Examples
from diffloom.latents.encoder import LatentEncoder
from diffloom.training.feed import Feed
from diffloom.training.order import InOrder
from diffloom.training.preparation import prepare
from diffloom.training.split import Split


@dataclass(frozen=True)
class LatentModel:
    """The parts of a model that are there before its training."""

    document: Document
    """Completed with what the data know."""
    train: Train
    data: Data
    examples: Examples
    encoder: LatentEncoder

    @classmethod
    def of(cls, document: Document, encoder: LatentEncoder) -> LatentModel:
        """Open the data of a configuration. Raises ConfigError and DataError as training does."""
        prepared = prepare(document)
        completed = prepared.document
        assert isinstance(completed, Document)
        assert completed.data is not None, "prepare() asks for data"
        return cls(completed, prepared.train, completed.data, prepared.examples, encoder)

    def feed(self, *, keys: tuple[str, ...] = (), shuffled: bool = False) -> Feed:
        """Its examples in batches as training's, with these conditions, in the data's order or in training's."""
        return Feed(
            examples=self.examples,
            keys=keys,
            shape=self.document.image.info.shape,
            seed=self.train.seed,
            split=Split(batch_size=self.train.batch_size),
            order=None if shuffled else InOrder(examples=len(self.examples)),
            workers=self.train.workers,
        )
