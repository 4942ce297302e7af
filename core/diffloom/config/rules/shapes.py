"""Parts must fit each other's shapes and names."""

from __future__ import annotations

from collections.abc import Iterator

from diffloom.config.document import Document, PictureDocument
from diffloom.errors import Problem
from diffloom.kinds import ConditionInfo, LatentSpace, SpaceInfo, Weighted

RESERVED = (
    frozenset(
        {
            "also",
            "batch_size",
            "caching",
            "clip",
            "compile",
            "corrections",
            "end",
            "fixed_point_iterations",
            "guidance",
            "images",
            "n",
        }
    )
    | frozenset(
        {
            "negative",
            "on_images",
            "on_step",
            "precision",
            "sampler",
            "seed",
            "self",
            "share",
            "spacing",
            "start",
            "steps",
            "stop",
            "t",
            "target",
            "tolerance",
            "x_t",
        }
    )
    | frozenset(  # and beside these, at the command line
        {
            "device",
            "film",
            "help",
            "no_compile",
            "no_offload",
            "offload",
            "output",
            "plugin",
            "reference_steps",
            "samplers",
            "weights",
        }
    )
)
"""What stands beside conditions: arguments of `Pipeline`'s methods and of `picture_bits`, options of the commands that
take conditions."""


def space_shape(document: PictureDocument) -> Iterator[Problem]:
    """The space must fit the picture."""
    try:
        document.space.info(document.image.info)
    except ValueError as error:
        yield Problem("space", str(error))


def cached_latents(document: Document) -> Iterator[Problem]:
    """Only an autoencoder's latents can be cached."""
    if document.latents is not None and not isinstance(document.space, LatentSpace):
        yield Problem(
            "latents", f"{document.space.canonical} is no autoencoder and has none; leave this key out"
        )


def condition_slots(document: Document) -> Iterator[Problem]:
    """The conditioners must fit beside each other, and know their widths unless there are data to learn them from."""
    sound = _space(document) is not None
    for key, conditioner in document.conditioners.items() if sound else ():
        try:
            conditioner.info(document.setting)
        except ValueError as error:
            sound = False
            if document.data is None:
                yield Problem(f"conditioners.{key}", str(error))
    if sound:
        try:
            _ = document.condition_info
        except ValueError as error:
            yield Problem("conditioners", str(error))


def one_source_of_weights(document: Document) -> Iterator[Problem]:
    """A file for the whole model leaves nothing to the files of parts."""
    if document.weights is None:
        return
    for place, part in (("space", document.space), ("backbone", document.backbone)):
        if isinstance(part, Weighted) and part.weights is not None:
            yield Problem(
                f"{place}.weights", "`weights` fills the whole model already; leave one of them out"
            )


def condition_names(document: Document) -> Iterator[Problem]:
    """A condition is given as `sample(name=...)` and `--name`, so it is called like nothing that stands there."""
    for key in sorted(document.conditioners.keys() & RESERVED):
        yield Problem(
            f"conditioners.{key}",
            f"{key!r} is an argument of sampling itself; call the condition something else",
        )


def downsampling(document: Document) -> Iterator[Problem]:
    """Every halving inside the backbone must come out even, or skip connections meet in different sizes."""
    space, factor = _space(document), document.backbone.downsampling
    image = document.image.info
    if space is None or (space.height % factor == 0 and space.width % factor == 0):
        return
    yield Problem(
        "backbone",
        f"it divides height and width by {factor}, and {space.height}×{space.width} "
        f"({document.space.canonical} of a {image.height}×{image.width} image) is not divisible by that; "
        "change image.size, or take a backbone with fewer levels",
    )


def backbone_shapes(document: Document) -> Iterator[Problem]:
    """The backbone must be able to work in the space, and to read what the conditioners give."""
    space, condition, factor = _space(document), _condition(document), document.backbone.downsampling
    if space is None or condition is None or space.height % factor or space.width % factor:
        return  # told by the rules above
    try:
        document.backbone.check(space=space, condition=condition)
    except ValueError as error:
        yield Problem("backbone", str(error))


def guidance_shapes(document: Document) -> Iterator[Problem]:
    """Guidance must suit what is diffused, and what the conditioners give."""
    space, condition, guidance = _space(document), _condition(document), document.sampling.guidance
    if space is None or condition is None or guidance is None:
        return  # told by the rules above
    try:
        guidance.check(space=space, condition=condition)
    except ValueError as error:
        yield Problem("sampling.guidance", str(error))


def _space(document: Document) -> SpaceInfo | None:
    """The space's shape; None where `space_shape` has something to say."""
    try:
        return document.space_info
    except ValueError:
        return None


def _condition(document: Document) -> ConditionInfo | None:
    """What the conditioners give together; None where `condition_slots` has something to say, or data will."""
    try:
        return document.condition_info
    except ValueError:
        return None
