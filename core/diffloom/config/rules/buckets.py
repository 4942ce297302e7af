"""Shapes of buckets must fit everything that sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import lcm

from diffloom.config.autoencoder import AutoencoderDocument
from diffloom.config.document import Document
from diffloom.errors import Problem

PLACE = "image.buckets"


def bucket_shapes(document: Document) -> Iterator[Problem]:
    """Every shape must suit the space and the network; the first that does not is told."""
    for height, width in document.image.info.shapes:
        try:
            _require_fit(document, height, width)
        except ValueError as error:
            yield Problem(PLACE, f"a shape is {height}×{width}: {error}{_remedy(document)}")
            return


def _require_fit(document: Document, height: int, width: int) -> None:
    """Raises ValueError for a shape that the space or the network does not take."""
    backbone = document.backbone
    space = document.space.info(replace(document.image.info, height=height, width=width, shapes=()))
    if space.height % backbone.downsampling or space.width % backbone.downsampling:
        raise ValueError(
            f"the backbone divides height and width by {backbone.downsampling}, and {space.height}×{space.width} "
            f"({document.space.canonical} of such a picture) are not divisible by that"
        )
    try:
        condition = document.condition_info
    except ValueError:
        return  # `condition_slots` tells it, or the data will
    backbone.check(space=space, condition=condition)


def _remedy(document: Document) -> str:
    """Which multiple divides as often as the space and the network do."""
    image, buckets = document.image.info, document.image.buckets
    assert buckets is not None, "an image without buckets has no shapes"
    try:
        factor = max(1, image.height // document.space_info.height) * document.backbone.downsampling
    except ValueError:
        return ""  # `space_shape` tells what does not fit the picture itself
    multiple = lcm(buckets.multiple, factor)
    return "" if multiple == buckets.multiple else f"; set `multiple` to {multiple}"


def buckets_of_pictures(document: Document) -> Iterator[Problem]:
    """What is of one shape goes with no others."""
    if document.image.buckets is None:
        return
    if document.latents is not None:
        yield Problem(
            "latents",
            "a cache holds latents of one shape, and image.buckets asks for several; leave one of them out",
        )
    for key, conditioner in document.conditioners.items():
        try:
            stacked = conditioner.info(document.setting).concat
        except ValueError:
            continue  # `condition_slots` tells it, or the data will
        if stacked:
            yield Problem(
                f"conditioners.{key}",
                f"{conditioner.canonical} stacks pictures of the model's own shape on the network's input, and with "
                "image.buckets batches have others; leave one of them out",
            )


def no_buckets(document: AutoencoderDocument) -> Iterator[Problem]:
    """An autoencoder is shown one shape."""
    if document.image.buckets is not None:
        yield Problem(
            PLACE,
            "an autoencoder works on any part of a picture alike and is trained on one shape; leave this key out, and "
            "give it to the diffusion model in its latents",
        )
