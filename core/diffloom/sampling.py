"""One call of `sample`, planned: levels, noise, conditions and the composed denoiser, settled before the first step.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from diffloom import config
from diffloom.condition import Condition
from diffloom.config.document import Document, Sampling
from diffloom.config.plain import plain
from diffloom.errors import DiffloomError
from diffloom.inference import Precision, WalkNetwork
from diffloom.inversion import Inversion
from diffloom.kinds import Caching, Correction, Guidance, Guide, Sampler, Spacing, Walk
from diffloom.nn.turns import calls
from diffloom.process import (
    Aims,
    Course,
    Denoised,
    Draws,
    KeyedNoise,
    Level,
    Model,
    Questions,
    Steered,
    Step,
    clipped,
    denoiser,
    under,
)
from diffloom.recipe import recipe_of
from diffloom.registry import Registry

if TYPE_CHECKING:
    from diffloom.pipeline import Pipeline


@dataclass(frozen=True)
class SamplingPlan:
    """What will be drawn, and how."""

    pipeline: Pipeline
    section: Sampling
    walk: Walk
    own_walk: bool
    """Whether it was given as an object, and not by its configuration."""
    keys: Sequence[tuple[int, int]]
    """(seed, sample id) of each sample; a tuple, but where there are very many."""
    raw: Mapping[str, Sequence[Any]]
    """The raw conditions, one for each sample."""
    negative: Mapping[str, Sequence[Any]]
    """What guidance leads away from, of the conditions for which that was given."""
    also: tuple[tuple[float, Mapping[str, Sequence[Any]]], ...] = ()
    """Further raw conditions, each with its weight."""
    own_guide: Guide | None = None
    """Guidance given as an object, in place of the section's."""
    start_BCHW: Tensor | None = None
    """Where the walk begins; None draws it."""

    def batches(self, size: int | None) -> Iterator[SamplingPlan]:
        """The plan in parts of at most `size` samples."""
        size = size or max(1, len(self.keys))
        for start in range(0, len(self.keys), size):
            rows = slice(start, start + size)
            yield replace(
                self,
                section=_rows_of_guidance(self.section, rows),
                keys=self.keys[rows],
                raw=_rows(self.raw, rows),
                negative=_rows(self.negative, rows),
                also=tuple((weight, _rows(raw, rows)) for weight, raw in self.also),
                start_BCHW=None if self.start_BCHW is None else self.start_BCHW[rows],
            )

    @property
    def is_conditional(self) -> bool:
        """Whether any sample has a condition: guidance has nothing to steer by otherwise."""
        others = (values for _, raw in self.also for values in raw.values())
        everything = (*self.raw.values(), *self.negative.values(), *others)
        return any(value is not None for values in everything for value in values)

    @property
    def guide(self) -> Guide | None:
        """What steers; None where there is nothing to steer by."""
        guidance = self.section.guidance
        if self.own_guide is not None or guidance is None:
            return self.own_guide
        return guidance.build() if self.is_conditional or not guidance.compares else None

    @property
    def questions(self) -> Questions:
        """What the network will be asked at the levels of a walk."""
        return Questions(self.pipeline.prediction, self.pipeline.levels(self.section))

    @property
    def denoise(self) -> Callable[[Tensor, Level], Denoised]:
        """Network, prediction, guidance, corrections, clipping: in this order, so that the guided x₀ is clipped.

        A new one for each walk, as guidance may remember what it saw.
        """
        return self._denoise(self.questions)

    @torch.no_grad()
    def _denoise(self, questions: Questions) -> Callable[[Tensor, Level], Denoised]:
        pipeline, guide = self.pipeline, self.guide
        aims = self._aims(compares=guide is not None)
        ready = pipeline.ready(self.section)
        times = tuple(question.t for question in questions.values())
        _, height, width = pipeline.document.space_info.shape
        network = WalkNetwork(
            ready,
            times=times,
            pixels=height * width,
            # A fixed point is where the whole network says the same again.
            caching=None if isinstance(self.walk, Inversion) else self.section.caching,
        )
        whole = denoiser(
            network,
            pipeline.prediction,
            learned_variance=pipeline.document.variance.learned,
            questions=questions,
        )

        @torch.no_grad()
        def plain(x_BCHW: Tensor, level: Level, condition: Condition, *estimate: Tensor) -> Denoised:
            network.t = level.t
            with calls.together():
                return whole(x_BCHW, level, condition, *estimate)

        model = Model(
            under=under(
                plain, network.prepare, self_conditioning=pipeline.document.backbone.self_conditioning
            ),
            backbone=ready.module,
            schedule=pipeline.schedule,
            space=pipeline.module["space"],
            space_shape=pipeline.document.space_info.shape,
            conditioners=pipeline.document.conditioners,
            times=times,
            precision=ready.compute.precision,
            compiles=self.section.compile,
        )
        pulls = guide(aims, model) if guide else ()
        corrections = [part.build() for part in self.section.corrections]
        steered = Steered(aims, model, pulls, corrections, levels=questions).denoise
        return steered if self.section.clip is None else clipped(steered, self.section.clip)

    def _aims(self, *, compares: bool) -> Aims:
        """The conditions, encoded; what guidance leads away from is the condition itself where nothing `compares`."""
        conditioning, device = self.pipeline.conditioning, self.pipeline.device
        with self.pipeline.in_turn("conditioners"):
            condition = conditioning.encode(self.raw, device=device)
            return Aims(
                condition=condition,
                null=conditioning.opposite(self.raw, self.negative, device=device) if compares else condition,
                others=tuple((weight, conditioning.encode(raw, device=device)) for weight, raw in self.also),
                raw=self.raw,
            )

    @property
    def recipe(self) -> dict[str, Any]:
        """How to draw the samples again."""
        return recipe_of(self)

    def stream(self) -> Iterator[Step]:
        """The walk, step by step, in the pipeline's space."""
        pipeline, draws = self.pipeline, Draws(tuple(self.keys))
        shape, device = pipeline.document.space_info.shape, pipeline.device
        course = self.course
        x_BCHW = self.start_BCHW
        if x_BCHW is None:
            prior_std = pipeline.schedule.prior_std(course.levels[0])
            x_BCHW = prior_std * draws.normal("prior", shape, device=device)
        return self._steps(self.walk(x_BCHW, course))

    def _steps(self, steps: Iterator[Step]) -> Iterator[Step]:
        with self.pipeline.walking():
            yield from steps

    @property
    def course(self) -> Course:
        """What the sampler is given."""
        pipeline = self.pipeline
        shape, device = pipeline.document.space_info.shape, pipeline.device
        questions = self.questions
        return Course(
            levels=pipeline.levels(self.section),
            denoise=self._denoise(questions),
            noise=KeyedNoise(Draws(tuple(self.keys)), shape, device),
            variance=pipeline.process.variance,
            at=questions.expecting(pipeline.schedule.level),
            encode=pipeline.encode,
            single=lambda row: list(self.batches(1))[row].denoise,
        )


def _rows(raw: Mapping[str, Sequence[Any]], rows: slice) -> dict[str, Sequence[Any]]:
    return {name: values[rows] for name, values in raw.items()}


def _rows_of_guidance(section: Sampling, rows: slice) -> Sampling:
    """The section for some of the samples, where guidance says something of each."""
    if section.guidance is None:
        return section
    return section.model_copy(update={"guidance": section.guidance.rows(rows)})


def changed_sampling(
    document: Document,
    registry: Registry,
    *,
    steps: int | None = None,
    guidance: float | Sequence[float] | str | Mapping[str, Any] | Guidance | None = None,
    sampler: str | Mapping[str, Any] | Sampler | Walk | None = None,
    spacing: str | Mapping[str, Any] | Spacing | None = None,
    corrections: Sequence[str | Mapping[str, Any] | Correction] | None = None,
    end: Literal["clean", "first"] | None = None,
    precision: Precision | None = None,
    compile: bool | None = None,
    caching: str | Mapping[str, Any] | Caching | None = None,
) -> tuple[Sampling, Walk]:
    """The document's sampling with changes, and the walk it builds.

    Changes are overrides, merged and checked as on the command line of `train`. A number for `guidance`, or one for
    each sample, sets the scale of the document's own guidance, or of classifier-free guidance where it has none; a walk
    is used as it is.
    Raises ConfigError, and DiffloomError for a number where guidance has no scale.
    """
    walk = sampler if callable(sampler) else None
    scale = None
    if isinstance(guidance, int | float | list | tuple):
        own = document.sampling.guidance
        if own is not None and "scale" not in type(own).model_fields:
            raise DiffloomError(
                f"guidance: {own.canonical} has no scale of its own that {guidance} could be; give the guidance "
                "as in the file, its scales inside"
            )
        scale, guidance = guidance, None if own else "classifier_free"
    changes = {
        "steps": steps,
        "sampler": None if walk else sampler,
        "spacing": spacing,
        "end": end,
        "guidance": guidance,
        "guidance.scale": scale,
        "corrections": corrections,
        "precision": precision,
        "compile": compile,
        "caching": caching,
    }
    overrides = [
        f"sampling.{key}={json.dumps(value, default=plain)}"
        for key, value in changes.items()
        if value is not None
    ]
    section = document.sampling
    if overrides:
        changed = config.load(plain(document), overrides, registry=registry).document
        section = config.require_diffusion(changed, place="").sampling
    return section, walk or section.sampler.build()
