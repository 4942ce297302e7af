"""One call of `sample`, planned: levels, noise, conditions and the composed denoiser, settled before the first step.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from diffloom import config
from diffloom.config.document import Document, Sampling
from diffloom.config.plain import plain
from diffloom.kinds import Component, Guidance, Sampler, Spacing, Walk
from diffloom.process import Denoised, Draws, Level, Step, clipped, denoiser, under
from diffloom.registry import Registry

if TYPE_CHECKING:
    from diffloom.pipeline import Pipeline


@dataclass(frozen=True)
class SamplingPlan:
    """What will be drawn, and how."""

    pipeline: Pipeline
    section: Sampling
    walk: Walk
    keys: tuple[tuple[int, int], ...]
    """(seed, sample id) of each sample."""
    raw: Mapping[str, Sequence[Any]]
    """The raw conditions, one for each sample."""
    negative: Mapping[str, Sequence[Any]]
    """What guidance leads away from, of the conditions for which that was given."""

    def batches(self, size: int | None) -> Iterator[SamplingPlan]:
        """The plan in parts of at most `size` samples."""
        size = size or max(1, len(self.keys))
        for start in range(0, len(self.keys), size):
            rows = slice(start, start + size)
            yield replace(
                self,
                keys=self.keys[rows],
                raw={name: values[rows] for name, values in self.raw.items()},
                negative={name: values[rows] for name, values in self.negative.items()},
            )

    @property
    def is_conditional(self) -> bool:
        """Whether any sample has a condition: guidance has nothing to steer by otherwise."""
        everything = (*self.raw.values(), *self.negative.values())
        return any(value is not None for values in everything for value in values)

    @cached_property
    @torch.no_grad()
    def denoise(self) -> Callable[[Tensor, Level], Denoised]:
        """Network, prediction, guidance, clipping: in this order, so that the guided x₀ is what is clipped."""
        pipeline, device = self.pipeline, self.pipeline.device
        plain = torch.no_grad()(
            denoiser(
                pipeline.predict,
                pipeline.prediction,
                learned_variance=pipeline.document.variance.learned,
            )
        )
        known = under(plain, pipeline.prepare)
        condition = pipeline.conditioning.encode(self.raw, device=device)
        if self.section.guidance is None or not self.is_conditional:
            steered = known(condition)
        else:
            null = pipeline.conditioning.opposite(self.raw, self.negative, device=device)
            steered = self.section.guidance.build()(known, condition, null)
        return steered if self.section.clip is None else clipped(steered, self.section.clip)

    def stream(self) -> Iterator[Step]:
        """The walk, step by step, in the pipeline's space."""
        pipeline, draws = self.pipeline, Draws(self.keys)
        shape, device = pipeline.document.space_info.shape, pipeline.device

        def noise(index: int) -> Tensor:
            return draws.at(index).normal("step", shape, device=device)

        x_BCHW = draws.normal("prior", shape, device=device) * pipeline.schedule.prior_std
        return self.walk(
            x_BCHW,
            pipeline.levels(self.section),
            self.denoise,
            noise=noise,
            variance=pipeline.process.variance,
        )


def changed_sampling(
    document: Document,
    registry: Registry,
    *,
    steps: int | None = None,
    guidance: float | str | Mapping[str, Any] | Guidance | None = None,
    sampler: str | Mapping[str, Any] | Sampler | Walk | None = None,
    spacing: str | Mapping[str, Any] | Spacing | None = None,
    end: Literal["clean", "first"] | None = None,
) -> tuple[Sampling, Walk]:
    """The document's sampling with changes, and the walk it builds.

    Changes are overrides, merged and checked as on the command line of `train`. A number for `guidance` sets the
    scale of the document's own guidance, or of classifier-free guidance where it has none; a walk is used as it is.
    Raises ConfigError.
    """
    walk = sampler if callable(sampler) else None
    scale = None
    if isinstance(guidance, int | float):
        scale, guidance = guidance, None if document.sampling.guidance else "classifier_free"
    changes = {
        "steps": steps,
        "sampler": None if walk else sampler,
        "spacing": spacing,
        "end": end,
        "guidance": guidance,
        "guidance.scale": scale,
    }
    overrides = [
        f"sampling.{key}={json.dumps(plain(value) if isinstance(value, Component) else value)}"
        for key, value in changes.items()
        if value is not None
    ]
    section = document.sampling
    if overrides:
        changed = config.load(plain(document), overrides, registry=registry).document
        section = config.require_diffusion(changed, place="").sampling
    return section, walk or section.sampler.build()
