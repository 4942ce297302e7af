"""Rules over combinations, run before anything is built: each says what cannot work, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from diffloom.config.autoencoder import AutoencoderDocument
from diffloom.config.choice import AnyDocument
from diffloom.config.document import Document, PictureDocument
from diffloom.errors import Problem
from diffloom.kinds import ConditionInfo, LatentSpace, SpaceInfo, Weighted

Rule: TypeAlias = Callable[[Document], Iterator[Problem]]
"""A document → its problems; their places are dotted paths."""

RESERVED = frozenset(
    {"batch_size", "end", "guidance", "n", "negative", "on_step", "sampler", "seed", "spacing", "steps"}
) | frozenset({"device", "film", "help", "output", "plugin", "self", "t", "weights", "x_t"})
"""Arguments of `Pipeline.sample`, `denoise` and the command `diffloom sample`."""


def lint(document: AnyDocument) -> tuple[Problem, ...]:
    """Everything the rules find. Run it again on a document that was changed after loading."""
    if isinstance(document, AutoencoderDocument):
        return tuple(problem for rule in AUTOENCODER_RULES for problem in rule(document))
    return tuple(problem for rule in RULES for problem in rule(document))


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


def learned_variance(document: Document) -> Iterator[Problem]:
    """A learned variance is read from the second half of the backbone's output channels."""
    name, doubled = document.variance.canonical, document.backbone.learn_variance
    if document.variance.learned and not doubled:
        yield Problem(
            "variance",
            f"{name} is read from a second set of output channels, which this backbone does not have; "
            "set backbone.learn_variance: true, or take a fixed variance",
        )
    if doubled and not document.variance.learned:
        yield Problem(
            "backbone.learn_variance",
            f"nothing trains or reads the second set of output channels, since {name} is not learned; "
            "set it to false, or take a learned variance",
        )


def guidance_dropout(document: Document) -> Iterator[Problem]:
    """Guidance compares with the null condition, which a model knows only if training sometimes showed it."""
    guidance = document.sampling.guidance
    if guidance is None or guidance.scale == 1:
        return
    if not document.conditioners:
        yield Problem(
            "sampling.guidance",
            "guidance steers by a condition, and this model has none; "
            "add conditioners, or set sampling.guidance: null",
        )
    elif all(conditioner.dropout == 0 for conditioner in document.conditioners.values()):
        keys = ", ".join(f"conditioners.{key}.dropout" for key in document.conditioners)
        yield Problem(
            "sampling.guidance",
            "a scale other than 1 compares with the null condition, which a model trained with dropout 0 "
            f"never saw; train with {keys} above 0 (0.1 is usual), or set sampling.guidance.scale: 1",
        )


def sampling_steps(document: Document) -> Iterator[Problem]:
    """A sampler visits different times of the schedule, so there cannot be more of them than it has."""
    steps, length = document.sampling.steps, document.schedule.length
    if steps > length:
        yield Problem(
            "sampling.steps",
            f"{steps} steps are more than the {length} times of {document.schedule.canonical}; "
            f"set sampling.steps to {length} or less, or lengthen the schedule",
        )


def walk_end(document: Document) -> Iterator[Problem]:
    """A walk that ends at the first time needs a sampler that can stop there, and a noisier time to begin at."""
    sampling = document.sampling
    if sampling.end == "clean":
        return
    if not sampling.sampler.ends_early:
        yield Problem(
            "sampling.end",
            f"{sampling.sampler.canonical} always walks to the clean picture; set sampling.end: clean, or take a "
            "sampler that can stop before, such as ddim",
        )
    try:
        times = sampling.spacing.times(length=document.schedule.length, steps=sampling.steps)
    except ValueError:
        return  # told by `sampling_steps`, or by the spacing itself
    if not any(time > 0 for time in times):
        yield Problem(
            "sampling.end",
            "the walk would begin at the first time too, and have no step to take; set sampling.end: clean",
        )


def warmup(document: AnyDocument) -> Iterator[Problem]:
    """A warm-up longer than the run never reaches the learning rate."""
    train = document.train
    if train is not None and train.warmup_steps > train.steps:
        yield Problem(
            "train.warmup_steps",
            f"the warm-up of {train.warmup_steps} steps is longer than the run of {train.steps}, which would "
            "never reach train.lr; shorten it, or set train.steps higher",
        )


def criterion_starts(document: AutoencoderDocument) -> Iterator[Problem]:
    """A criterion that begins after the last step never counts."""
    steps = document.train.steps if document.train is not None else None
    for index, criterion in enumerate(document.autoencoder.criteria):
        if steps is not None and criterion.start_step > steps:
            yield Problem(
                f"autoencoder.criteria[{index}].start_step",
                f"{criterion.canonical} would begin at step {criterion.start_step} of a run of {steps}, and never "
                "count; set it lower, set train.steps higher, or remove the criterion",
            )


def criterion_order(document: AutoencoderDocument) -> Iterator[Problem]:
    """A criterion that weighs itself against those before it needs one that has begun."""
    criteria = document.autoencoder.criteria
    for index, criterion in enumerate(criteria):
        begun = any(earlier.start_step <= criterion.start_step for earlier in criteria[:index])
        if criterion.relative and not begun:
            yield Problem(
                f"autoencoder.criteria[{index}]",
                f"{criterion.canonical} weighs itself against the criteria before it, and none of them counts at its "
                f"start_step {criterion.start_step}; put one before it, such as lp",
            )


AUTOENCODER_RULES: tuple[Callable[[AutoencoderDocument], Iterator[Problem]], ...] = (
    space_shape,
    criterion_starts,
    criterion_order,
    warmup,
)
RULES: tuple[Rule, ...] = (
    space_shape,
    cached_latents,
    condition_slots,
    condition_names,
    one_source_of_weights,
    downsampling,
    backbone_shapes,
    learned_variance,
    guidance_dropout,
    sampling_steps,
    walk_end,
    warmup,
)


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
