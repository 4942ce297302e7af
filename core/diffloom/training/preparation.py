"""Before the first step: open the data, let the model learn from them what it must, and refuse what cannot work."""

from __future__ import annotations

from dataclasses import dataclass

from diffloom.config import AnyDocument, Document, lint
from diffloom.config.document import Train
from diffloom.errors import ConfigError, DataError, Problem
from diffloom.kinds import Conditioner, Data, DataInfo, Examples, Stream, Weighted
from diffloom.registry import did_you_mean
from diffloom.training.beginning import Beginning
from diffloom.training.buckets import Buckets
from diffloom.training.defaults import with_defaults
from diffloom.training.readable import readable


@dataclass(frozen=True)
class Prepared:
    """Data and a configuration that fit each other."""

    document: AnyDocument
    """The configuration, completed with what the data know."""
    train: Train
    examples: Examples
    """All; of a stream the first."""
    stream: Stream | None = None
    """Where the data are one: what is trained from."""
    buckets: Buckets | None = None
    """The shape of each example's picture, where they have several."""


def prepare(document: AnyDocument) -> Prepared:
    """Open the data of a configuration and check them against it.

    Raises ConfigError when the configuration has no `data` or no `train`, or a cache of latents for data that are
    streamed, and DataError when there are no examples, or when a conditioner cannot take what they give.
    """
    data, train = require_sections(document)
    source = data.build(image=document.image.info)
    if isinstance(document, Document):
        source = with_defaults(source, document)
    stream = source if isinstance(source, Stream) else None
    examples = Beginning(source) if isinstance(source, Stream) else source
    if stream is not None and isinstance(document, Document) and document.latents is not None:
        what = f"a cache holds examples by their number, and {data.canonical} as configured is a stream"
        raise ConfigError([Problem("latents", f"{what}; leave this out, or read the data without streaming")])
    if len(examples) == 0:
        raise DataError("data: there are no examples")
    if isinstance(document, Document):
        document = _learned(document, examples, seed=train.seed)
    buckets = Buckets.of(document.image.info, examples.info)
    if buckets is not None:
        buckets.warn_of_small(batch_size=train.batch_size)
    return Prepared(document, train, examples, stream, buckets)


def require_sections(document: AnyDocument) -> tuple[Data, Train]:
    """What only training needs. Raises ConfigError when the configuration has no `data` or no `train`."""
    if document.data is None or document.train is None:
        lacking = [name for name in ("data", "train") if getattr(document, name) is None]
        raise ConfigError([Problem(name, f"training needs a `{name}:` section") for name in lacking])
    return document.data, document.train


def _learned(document: Document, examples: Examples, *, seed: int) -> Document:
    """The document with its conditioners completed by what the data know."""
    first = readable(examples, 0, seed=seed, purpose="example").conditions
    learned = {}
    for key, conditioner in document.conditioners.items():
        if key not in first:
            there = ", ".join(sorted(first)) or "none"
            raise DataError(
                f"conditioners.{key}: the data give no condition {key!r}{did_you_mean(key, first)} "
                f"(they give: {there}); name the conditioner after one of these, or remove it"
            )
        learned[key] = _with_known_weights(conditioner, document).learn(key, examples.info)
        _require_takes(learned[key], key, first[key], examples.info)
        if isinstance(conditioner, Weighted):
            learned[key] = learned[key].model_copy(update={"weights": conditioner.weights})
    completed = document.model_copy(update={"conditioners": learned})
    if problems := lint(completed):  # again: what was learned may not fit the other parts
        raise ConfigError(problems)
    return completed


def _with_known_weights(conditioner: Conditioner, document: Document) -> Conditioner:
    """A conditioner that learns nothing which the whole model's weights know already, such as a vocabulary."""
    if document.weights is None or not isinstance(conditioner, Weighted):
        return conditioner
    return conditioner.model_copy(update={"weights": document.weights})


def _require_takes(conditioner: Conditioner, key: str, first: object, data: DataInfo) -> None:
    """Raises DataError unless the conditioner takes the first example's condition and the id of every class."""
    try:
        for raw in (first, *range(len(data.classes.get(key, ())))):
            conditioner.check(raw)
    except ValueError as error:
        raise DataError(f"conditioners.{key}: does not take what the data give: {error}") from error
