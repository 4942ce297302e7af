"""What is asked of one call of `sample`: checked against the model, and planned, before anything is computed.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Self

from torch import Tensor

from diffloom.config.document import Sampling
from diffloom.errors import DiffloomError
from diffloom.inference import Precision
from diffloom.kinds import Caching, Correction, Guidance, Guide, Sampler, Spacing, Walk
from diffloom.sampling import SamplingPlan, changed_sampling
from diffloom.seeds import Seed, sample_keys

if TYPE_CHECKING:
    from diffloom.pipeline import Pipeline


@dataclass(frozen=True)
class Request:
    """The arguments of `Pipeline.sample`; what is None stands in the configuration."""

    count: int | None
    seed: Seed | list[Seed] = 0
    steps: int | None = None
    guidance: float | Sequence[float] | str | Mapping[str, Any] | Guidance | Guide | None = None
    sampler: str | Mapping[str, Any] | Sampler | Walk | None = None
    spacing: str | Mapping[str, Any] | Spacing | None = None
    end: Literal["clean", "first"] | None = None
    corrections: Sequence[str | Mapping[str, Any] | Correction] | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    negative: Mapping[str, Any] = field(default_factory=dict)
    also: Sequence[tuple[float, Mapping[str, Any]]] = ()
    start_BCHW: Tensor | None = None
    precision: Precision | None = None
    compile: bool | None = None
    caching: str | Mapping[str, Any] | Caching | None = None

    @classmethod
    def of(cls, asked: Mapping[str, Any], *, count: int | None) -> Self:
        """From the arguments of `Pipeline.sample` by their names; those that are none of them are conditions."""
        known = {part.name for part in fields(cls)} - {"count", "conditions", "start_BCHW"}
        own = {name: value for name, value in asked.items() if name in known}
        conditions = {name: value for name, value in asked.items() if name not in {*known, "start"}}
        return cls(count=count, conditions=conditions, start_BCHW=asked.get("start"), **own)

    def plan(self, pipeline: Pipeline) -> SamplingPlan:
        """Everything about the samples that is settled before the first network call. Raises DiffloomError."""
        guide = self.guidance if callable(self.guidance) else None
        section, walk = changed_sampling(
            pipeline.document,
            pipeline.registry,
            steps=self.steps,
            guidance=None if callable(self.guidance) else self.guidance,
            sampler=self.sampler,
            spacing=self.spacing,
            end=self.end,
            corrections=self.corrections,
            precision=self.precision,
            compile=self.compile,
            caching=self.caching,
        )
        if guide is not None:
            section = section.model_copy(update={"guidance": None})
        conditioning = pipeline.conditioning
        raw, agreed = conditioning.check(self.conditions, self._count)
        keys = sample_keys(self.seed, agreed)
        away = conditioning.check_negative(self.negative, len(keys))
        self._check(section, count=len(keys), away=away, shape=pipeline.document.space_info.shape)
        pipeline.module.eval()
        return SamplingPlan(
            pipeline=pipeline,
            section=section,
            walk=walk,
            own_walk=callable(self.sampler),
            keys=keys,
            raw=raw,
            negative=away,
            own_guide=guide,
            also=tuple((weight, conditioning.check(further, len(keys))[0]) for weight, further in self.also),
            start_BCHW=None if self.start_BCHW is None else self.start_BCHW.to(pipeline.device),
        )

    @property
    def _count(self) -> int | None:
        """How many samples, as far as the arguments beside the conditions say it."""
        if self.count is not None:
            return self.count
        if not isinstance(self.seed, int):
            return len(sample_keys(self.seed, None))
        return None if self.start_BCHW is None else len(self.start_BCHW)

    def _check(
        self, section: Sampling, *, count: int, away: Mapping[str, Any], shape: tuple[int, int, int]
    ) -> None:
        if not callable(self.guidance):
            self._check_guidance(section.guidance, count=count, away=away)
        if self.start_BCHW is not None and tuple(self.start_BCHW.shape) != (count, *shape):
            raise DiffloomError(
                f"start: {tuple(self.start_BCHW.shape)} does not begin {count} walks in a space of {shape}; give "
                f"{(count, *shape)}"
            )

    def _check_guidance(self, guidance: Guidance | None, *, count: int, away: Mapping[str, Any]) -> None:
        if away and (guidance is None or guidance.neutral):
            raise DiffloomError(
                f"negative: without guidance nothing leads away from {', '.join(away)}; give a guidance scale above 1"
            )
        if away and guidance is not None and not guidance.compares:
            raise DiffloomError(
                f"negative: {guidance.canonical} leads away from other things than {', '.join(away)}; take a guidance "
                "that compares with the null condition, such as classifier_free"
            )
        if guidance is not None and guidance.samples not in (None, count):
            raise DiffloomError(
                f"guidance: {guidance.samples} scales for {count} samples; give one scale, or one for each sample"
            )
        if self.also and not (guidance is not None and guidance.weighs):
            raise DiffloomError(
                "also: further conditions are followed by guidance that weighs them, such as classifier_free, and "
                f"{'there is no guidance' if guidance is None else guidance.canonical + ' does not'}"
            )
