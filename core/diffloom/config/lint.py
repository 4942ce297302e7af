"""Rules over combinations, run before anything is built: each says what cannot work, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from diffloom.config.autoencoder import AutoencoderDocument
from diffloom.config.choice import AnyDocument
from diffloom.config.document import Document
from diffloom.config.rules import buckets, process, sampling, shapes, training
from diffloom.errors import Problem

Rule: TypeAlias = Callable[[Document], Iterator[Problem]]
"""A document → its problems; their places are dotted paths."""

AUTOENCODER_RULES: tuple[Callable[[AutoencoderDocument], Iterator[Problem]], ...] = (
    shapes.space_shape,
    buckets.no_buckets,
    training.criterion_starts,
    training.criterion_order,
    training.warmup,
    training.lr_schedule,
    training.sharded_optimizer,
    training.average_names,
    training.snapshots,
)
RULES: tuple[Rule, ...] = (
    shapes.space_shape,
    shapes.cached_latents,
    shapes.condition_slots,
    shapes.condition_names,
    shapes.one_source_of_weights,
    shapes.downsampling,
    shapes.backbone_shapes,
    shapes.guidance_shapes,
    buckets.bucket_shapes,
    buckets.buckets_of_pictures,
    process.learned_variance,
    process.counted_times,
    process.zero_terminal_snr,
    sampling.guidance_dropout,
    sampling.levels,
    sampling.pure_start,
    sampling.sampler,
    sampling.walk_end,
    training.objective,
    training.self_conditioning,
    training.warmup,
    training.lr_schedule,
    training.sharded_optimizer,
    training.average_names,
    training.snapshots,
)


def lint(document: AnyDocument) -> tuple[Problem, ...]:
    """Everything the rules find. Run it again on a document that was changed after loading."""
    if isinstance(document, AutoencoderDocument):
        return tuple(problem for rule in AUTOENCODER_RULES for problem in rule(document))
    return tuple(problem for rule in RULES for problem in rule(document))
