"""Schedule, prediction and variance must make one process."""

from __future__ import annotations

from collections.abc import Iterator

from diffloom.config.document import Document
from diffloom.errors import Problem


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


def counted_times(document: Document) -> Iterator[Problem]:
    """A prediction of the time before needs times that follow one another."""
    if document.prediction.needs_counted_times and document.schedule.axis.count is None:
        yield Problem(
            "prediction",
            f"{document.prediction.canonical} is of the time before, and the times of {document.schedule.canonical} "
            "are continuous; take prediction: v, or a schedule of counted times",
        )


def zero_terminal_snr(document: Document) -> Iterator[Problem]:
    """Where no signal is left, x_t is pure noise, and a prediction of noise says nothing about the picture."""
    if document.schedule.zero_snr and document.prediction.needs_signal:
        yield Problem(
            "prediction",
            f"{document.schedule.canonical} ends without any signal, where x₀ cannot be told from "
            f"{document.prediction.canonical}: it divides by alpha = 0; take prediction: v, or a schedule that keeps "
            "some signal",
        )
