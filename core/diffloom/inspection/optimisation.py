"""How a run learns, in words and in the figures of its own schedule and averages."""

from __future__ import annotations

from diffloom.config.document import Train
from diffloom.inspection.equations import constants_of, equation_of, summary_of
from diffloom.inspection.page import Section
from diffloom.kinds import EMA, Component


def optimisation(section: Section, train: Train) -> None:
    """The rows of what moves the weights and what averages them."""
    decay = train.optimizer.weight_decay
    where = (
        "weight decay for what multiplies its input: not for biases, scales of norms and embeddings"
        if decay
        else ""
    )
    section.add("optimiser", *_words(train.optimizer), where)
    section.add("learning rate", *_words(train.lr_schedule), _rates(train))
    _add_average(section, "average", train.ema, train, "samples are drawn from it")
    for name, average in train.further_ema.items():
        _add_average(section, f"average {name}", average, train, f"`--weights {name}` draws from it")
    if train.snapshot_every is not None:
        section.add("", f"snapshots every {train.snapshot_every:,} steps, for `diffloom ema reconstruct`")


def _words(part: Component) -> tuple[str, str, str]:
    return f"{part.canonical}: {summary_of(part)}", equation_of(part) or "", constants_of(part)


def _rates(train: Train) -> str:
    """The learning rate at the steps where it turns, and half-way."""
    steps, schedule = train.steps, train.lr_schedule
    shown = sorted({1, max(1, schedule.warmup_steps), (steps + 1) // 2, steps})
    rates = (f"{train.lr * schedule.factor(step, steps=steps):.3g} at step {step:,}" for step in shown)
    return f"{', '.join(rates)}: optimiser steps, of {train.batch_size} examples each, however they are split"


def _add_average(section: Section, label: str, average: EMA, train: Train, use: str) -> None:
    recent = _half_of_it(average, train)
    if recent is None:
        half = "more than half of it is still the first weights"
    else:
        half = (
            f"half of it is of the last {recent:,} steps" if recent > 1 else "half of it is of the last step"
        )
    section.add(label, *_words(average), f"at the end {half}; {use}")


def _half_of_it(average: EMA, train: Train) -> int | None:
    """How many of the last steps have half of the average at the end of the run; None where all have less."""
    left = 1.0
    for step in range(train.steps, 0, -1):
        left *= average.remaining(step, batch_size=train.batch_size)
        if left <= 0.5:
            return train.steps - step + 1
    return None
