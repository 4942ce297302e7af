"""Assembled parts → samples: the Python API. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from diffloom.building import built
from diffloom.condition import Condition
from diffloom.conditioning import Conditioning, Raw
from diffloom.config.document import Document, Sampling
from diffloom.inversion import Inversion, require_pictures
from diffloom.kinds import (
    Codec,
    Conversion,
    Correction,
    Encoder,
    Guidance,
    Guide,
    NoiseSchedule,
    Sampler,
    Spacing,
    Walk,
)
from diffloom.output import Output
from diffloom.plugins import load_registry
from diffloom.process import CLEAN, Denoised, Draws, Level, Process, Step
from diffloom.registry import Registry
from diffloom.request import Request
from diffloom.seeds import Seed


@dataclass
class Pipeline:
    """One model: its configuration, its weights, its mathematics.

    Parts can be reached one by one; `module` holds everything that has weights.
    """

    document: Document
    """The validated configuration."""
    module: nn.ModuleDict
    """`space`, `conditioners` and `backbone`."""
    process: Process
    """Schedule, prediction and variance."""
    registry: Registry = field(default_factory=load_registry, repr=False)
    """Where `sampler="ddim"` is looked up."""
    weights_digest: str | None = None
    """Digest of the checkpoint's weights; None for weights that were never saved."""

    @property
    def backbone(self) -> nn.Module:
        """The denoising network."""
        return self.module["backbone"]

    @property
    def space(self) -> Codec:
        """Encodes pictures to what is diffused, and decodes them."""
        return cast(Codec, self.module["space"])

    @property
    def conditioners(self) -> Mapping[str, Encoder]:
        """The encoders of the conditions, by name."""
        return cast(Mapping[str, Encoder], self.module["conditioners"])

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule."""
        return self.process.schedule

    @property
    def prediction(self) -> Conversion:
        """What the network's output means."""
        return self.process.prediction

    @property
    def sampler(self) -> Walk:
        """The sampler that `sample` uses unless told otherwise."""
        return self.document.sampling.sampler.build()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    @property
    def conditioning(self) -> Conditioning:
        """The conditioners together."""
        return Conditioning(self.document.conditioners, self.conditioners, self.document.setting)

    def to(self, device: torch.device | str) -> Pipeline:
        """Move the weights; returns the pipeline itself."""
        self.module.to(device)
        return self

    def condition(self, raw: Raw) -> Condition:
        """The encoded condition of a batch."""
        return self.conditioning.encode(raw, device=self.device)

    def training_condition(self, raw: Raw, draws: Draws) -> Condition:
        """The encoded condition of a training batch, with condition dropout."""
        return self.conditioning.encode_for_training(raw, draws, device=self.device)

    @property
    def dtype(self) -> torch.dtype:
        """What the backbone computes in; what goes in is brought to it."""
        return _dtype(self.backbone)

    def prepare(self, condition: Condition) -> Condition:
        """The condition with what the backbone computes of it alone, where it does so: once for all steps."""
        condition = self._cast(condition)
        prepare = getattr(self.backbone, "prepare", None)
        return condition if prepare is None else cast(Condition, prepare(condition))

    def predict(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The network's raw output."""
        output = self.backbone(x_BCHW.to(self.dtype), t_B, self._cast(condition))
        assert isinstance(output, Tensor)
        return output

    def _cast(self, condition: Condition) -> Condition:
        """In the backbone's type; the condition itself, with its memory, where it is already."""
        dtype = self.dtype
        if all(slot.dtype == dtype for slot in condition.filled().values() if slot.is_floating_point()):
            return condition
        return condition.map(lambda slot: slot.to(dtype) if slot.is_floating_point() else slot)

    @torch.no_grad()
    def encode(self, images_BCHW: Tensor) -> Tensor:
        """Points of the space, float32, from pictures in [-1, 1]."""
        return self.space.encode(images_BCHW.to(self.device, _dtype(self.module["space"]))).float()

    @torch.no_grad()
    def decode(self, x_BCHW: Tensor) -> Tensor:
        """Pictures in [-1, 1], float32, from points of the space."""
        return self.space.decode(x_BCHW.to(_dtype(self.module["space"]))).float().clamp(-1, 1)

    def denoise(
        self,
        x_t: Tensor,
        t: float,
        *,
        guidance: float | str | Mapping[str, Any] | Guidance | Guide | None = None,
        negative: Mapping[str, Any] | None = None,
        **conditions: Any,
    ) -> Denoised:
        """What the model makes of x_t (B, C, H, W) at t, a table index: x₀ and ε, clipped and guided as `sample` is.

        `guidance=1.0` gives the plain conditional prediction. Conditions as in `sample`.
        """
        plan = Request(
            count=len(x_t), guidance=guidance, conditions=conditions, negative=negative or {}
        ).plan(self)
        (level, _) = self.schedule.levels([t])
        return plan.denoise(x_t, level)

    def sample(
        self,
        *,
        n: int | None = None,
        seed: Seed | list[Seed] = 0,
        steps: int | None = None,
        guidance: float | Sequence[float] | str | Mapping[str, Any] | Guidance | Guide | None = None,
        sampler: str | Mapping[str, Any] | Sampler | Walk | None = None,
        spacing: str | Mapping[str, Any] | Spacing | None = None,
        end: Literal["clean", "first"] | None = None,
        corrections: Sequence[str | Mapping[str, Any] | Correction] | None = None,
        negative: Mapping[str, Any] | None = None,
        also: Sequence[tuple[float, Mapping[str, Any]]] = (),
        start: Tensor | None = None,
        batch_size: int | None = None,
        on_step: Any = None,
        **conditions: Any,
    ) -> Output:
        """Draw samples.

        Conditions are named as the model's conditioners (`label=[3, 7]`): one value for all samples, or a list; left
        out, a condition is null. `n` is needed only where neither a list nor a seed list says how many. `seed=5` gives
        sample i the noise (5, i); a list of seeds or (seed, i) pairs names each. What is left None stands in the
        configuration's `sampling`; `guidance` may be one scale for each sample. `negative={"prompt": "blurry"}` is
        what guidance leads away from, in place of the null condition; `also=[(0.5, {"prompt": "in snow"})]` are further
        conditions with their weights, for guidance that follows several. `start` (n, C, H, W) is a point of the space
        at the noise of the first level, where the walk begins instead of at a draw. `batch_size` bounds memory and
        changes nothing else; `on_step(step)` is called after each step of each batch. Raises DiffloomError for values
        the model cannot use.
        """
        whole = Request(
            count=n,
            seed=seed,
            steps=steps,
            guidance=guidance,
            sampler=sampler,
            spacing=spacing,
            end=end,
            corrections=corrections,
            conditions=conditions,
            negative=negative or {},
            also=also,
            start_BCHW=start,
        ).plan(self)
        tensors = [self.decode(_arrival(part.stream(), on_step)).cpu() for part in whole.batches(batch_size)]
        return Output(tensor=torch.cat(tensors), recipe=whole.recipe)

    def stream(
        self,
        *,
        n: int | None = None,
        seed: Seed | list[Seed] = 0,
        steps: int | None = None,
        guidance: float | Sequence[float] | str | Mapping[str, Any] | Guidance | Guide | None = None,
        sampler: str | Mapping[str, Any] | Sampler | Walk | None = None,
        spacing: str | Mapping[str, Any] | Spacing | None = None,
        end: Literal["clean", "first"] | None = None,
        corrections: Sequence[str | Mapping[str, Any] | Correction] | None = None,
        negative: Mapping[str, Any] | None = None,
        also: Sequence[tuple[float, Mapping[str, Any]]] = (),
        start: Tensor | None = None,
        **conditions: Any,
    ) -> Iterator[Step]:
        """The steps of `sample`, one by one: t, x_t, predicted x₀, in the model's space. Leave the loop to cancel."""
        return (
            Request(
                count=n,
                seed=seed,
                steps=steps,
                guidance=guidance,
                sampler=sampler,
                spacing=spacing,
                end=end,
                corrections=corrections,
                conditions=conditions,
                negative=negative or {},
                also=also,
                start_BCHW=start,
            )
            .plan(self)
            .stream()
        )

    @torch.no_grad()
    def invert(
        self,
        images: Tensor,
        *,
        steps: int | None = None,
        guidance: float | Sequence[float] | str | Mapping[str, Any] | Guidance | Guide | None = None,
        spacing: str | Mapping[str, Any] | Spacing | None = None,
        negative: Mapping[str, Any] | None = None,
        fixed_point_iterations: int = 100,
        tolerance: float = 1e-5,
        batch_size: int | None = None,
        **conditions: Any,
    ) -> Tensor:
        """Where `sample(start=..., sampler="ddim")` with the same arguments begins to draw these images again.

        `images` are (n, C, H, W) in [-1, 1]; the result is (n, c, h, w) in the space. Each row of a step is repeated
        until it moves by less than `tolerance`; `fixed_point_iterations` 1 is the usual, inexact inversion. Raises
        DiffloomError where a step does not converge, and where the first level has no signal: see
        `diffloom.inversion.Inversion`.
        """
        require_pictures(images, self.document.image.info)
        plan = Request(
            count=None,
            sampler=Inversion(iterations=fixed_point_iterations, tolerance=tolerance),
            steps=steps,
            guidance=guidance,
            spacing=spacing,
            conditions=conditions,
            negative=negative or {},
            start_BCHW=self.encode(images),
        ).plan(self)
        return torch.cat([_arrival(part.stream()) for part in plan.batches(batch_size)])

    def levels(self, sampling: Sampling) -> tuple[Level, ...]:
        """The noise levels a sampling section visits, its end last: clean, or the first time.

        A grid that visits the first time before it ends there takes one step less: that step would change nothing.
        Raises ConfigError for a spacing of noise levels that this schedule does not reach.
        """
        levels = built(
            "sampling.spacing", sampling.spacing.levels, schedule=self.schedule, steps=sampling.steps
        )
        if sampling.end == "clean":
            return (*levels, CLEAN)
        (end, _) = self.schedule.levels([self.schedule.axis.first])
        return (*(level for level in levels if level.sigma > end.sigma), end)


def _arrival(steps: Iterator[Step], on_step: Callable[[Step], object] | None = None) -> Tensor:
    """Where a walk ends, (B, C, H, W), each step told on the way."""
    for step in steps:
        if on_step is not None:
            on_step(step)
    return step.following_BCHW


def _dtype(module: nn.Module) -> torch.dtype:
    """The type of a module's weights; float32 for those without."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
