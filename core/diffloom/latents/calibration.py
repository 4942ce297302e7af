"""Measuring latents: the data, streamed through the encoder. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diffloom.errors import DataError
from diffloom.kinds import Statistics
from diffloom.latents.digest import DataDigest, picture_digest
from diffloom.latents.model import LatentModel
from diffloom.latents.moments import Moments


@dataclass(frozen=True)
class Measured:
    """What came out."""

    statistics: Statistics
    """As they are stored."""
    pooled_std: float
    """Of all channels together: 1 / this is what a single published `scale` would be."""


def counted(model: LatentModel, *, examples: int | None) -> int:
    """How many examples are measured: so many, or all. Raises DataError for all of a stream."""
    if model.stream is None:
        return min(examples or len(model.examples), len(model.examples))
    if examples is None:
        raise DataError(
            "data: are a stream, which nobody has counted; say with --examples how many of the first that training "
            "would visit are measured (10000 are plenty)"
        )
    return examples


def measure(model: LatentModel, *, examples: int | None, on_batch: Callable[[int], None]) -> Measured:
    """Mean and standard deviation of every latent channel, over the points of posteriors where these are encoded.

    All examples once in the data's order; or the first `examples` of the order in which training visits them.
    `on_batch(n)` is told of each n pictures done. Raises DataError for latents that are not finite or do not vary.
    """
    count, encoder = counted(model, examples=examples), model.encoder
    is_all = model.stream is None and count == len(model.examples)
    feed = model.in_order() if is_all else model.shuffled()
    moments, digest = Moments(encoder.shape[0]), DataDigest()
    for batch in feed.batches(first_step=0, last_step=-(-count // feed.split.batch_size)):
        images_BCHW = batch.images_BCHW[
            : count - batch.positions[0]
        ]  # the last batch is filled up with others
        mean_BCHW, deviation_BCHW = encoder.points(encoder.rows(images_BCHW))
        finite_B = mean_BCHW.isfinite().flatten(1).all(1)
        if not finite_B.all():
            position = batch.positions[int(finite_B.logical_not().nonzero()[0])]
            raise DataError(
                f"space: the latents of the picture at position {position} are NaN or infinite; look at the "
                "autoencoder's weights and at this picture"
            )
        moments.add(mean_BCHW, deviation_BCHW)
        for image_CHW in images_BCHW.numpy():
            digest.add(picture_digest(image_CHW))
        on_batch(len(images_BCHW))
    still = [str(channel) for channel, std in enumerate(moments.std) if stored(std) == 0]
    if still:
        raise DataError(
            f"space: the latent channel {', '.join(still)} is the same in all {count} pictures, so it cannot "
            "be brought to a deviation of 1; train the autoencoder further, or with less regularisation"
        )
    statistics = Statistics(
        mean=tuple(map(stored, moments.mean)),
        std=tuple(map(stored, moments.std)),
        examples=count,
        data=digest.hexdigest(),
    )
    return Measured(statistics, moments.pooled_std)


def stored(number: float) -> float:
    """The number with the fewest digits that is the same float32: all that a float32 codec makes of it."""
    return float(str(np.float32(number)))
