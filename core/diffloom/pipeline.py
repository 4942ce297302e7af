"""Assembled parts → samples: the Python API. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

import diffloom
from diffloom import config
from diffloom.condition import Condition
from diffloom.conditioning import Conditioning, Raw
from diffloom.config.document import Document, Sampling
from diffloom.config.plain import plain
from diffloom.errors import DiffloomError
from diffloom.kinds import Codec, Conversion, Encoder, Guidance, NoiseSchedule, Sampler, Walk
from diffloom.output import Output
from diffloom.plugins import load_registry
from diffloom.process import Denoised, Draws, Level, Process, Step
from diffloom.registry import Registry
from diffloom.sampling import SamplingPlan, changed_sampling
from diffloom.seeds import Seed, sample_keys


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
        guidance: float | str | Mapping[str, Any] | Guidance | None = None,
        negative: Mapping[str, Any] | None = None,
        **conditions: Any,
    ) -> Denoised:
        """What the model makes of x_t (B, C, H, W) at t, a table index: x₀ and ε, clipped and guided as `sample` is.

        `guidance=1.0` gives the plain conditional prediction. Conditions as in `sample`.
        """
        plan = self._plan(
            count=len(x_t),
            seed=0,
            sampling=self._sampling(guidance=guidance),
            conditions=conditions,
            negative=negative,
        )
        (level, _) = self.schedule.levels([t])
        return plan.denoise(x_t, level)

    def sample(
        self,
        *,
        n: int | None = None,
        seed: Seed | list[Seed] = 0,
        steps: int | None = None,
        guidance: float | str | Mapping[str, Any] | Guidance | None = None,
        sampler: str | Mapping[str, Any] | Sampler | Walk | None = None,
        spacing: str | Mapping[str, Any] | None = None,
        end: Literal["clean", "first"] | None = None,
        negative: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
        on_step: Any = None,
        **conditions: Any,
    ) -> Output:
        """Draw samples.

        Conditions are named as the model's conditioners (`label=[3, 7]`): one value for all samples, or a list; left
        out, a condition is null. `n` is needed only where neither a list nor a seed list says how many. `seed=5` gives
        sample i the noise (5, i); a list of seeds or (seed, i) pairs names each. What is left None stands in the
        configuration's `sampling`. `negative={"prompt": "blurry"}` is what guidance leads away from, in place of the
        null condition. `batch_size` bounds memory and changes nothing else; `on_step(step)` is called
        after each step of each batch. Raises DiffloomError for values the model cannot use.
        """
        sampling = self._sampling(steps=steps, guidance=guidance, sampler=sampler, spacing=spacing, end=end)
        whole = self._plan(count=n, seed=seed, sampling=sampling, conditions=conditions, negative=negative)
        tensors = []
        for part in whole.batches(batch_size):
            step: Step | None = None
            for step in part.stream():
                if on_step is not None:
                    on_step(step)
            assert step is not None
            tensors.append(self.decode(step.following_BCHW).cpu())
        return Output(
            tensor=torch.cat(tensors),
            recipe=self._recipe(whole, own_walk=sampler if callable(sampler) else None),
        )

    def stream(
        self,
        *,
        n: int | None = None,
        seed: Seed | list[Seed] = 0,
        steps: int | None = None,
        guidance: float | str | Mapping[str, Any] | Guidance | None = None,
        sampler: str | Mapping[str, Any] | Sampler | Walk | None = None,
        spacing: str | Mapping[str, Any] | None = None,
        end: Literal["clean", "first"] | None = None,
        negative: Mapping[str, Any] | None = None,
        **conditions: Any,
    ) -> Iterator[Step]:
        """The steps of `sample`, one by one: t, x_t, predicted x₀, in the model's space. Leave the loop to cancel."""
        sampling = self._sampling(steps=steps, guidance=guidance, sampler=sampler, spacing=spacing, end=end)
        return self._plan(
            count=n, seed=seed, sampling=sampling, conditions=conditions, negative=negative
        ).stream()

    def _sampling(self, **changes: Any) -> tuple[Sampling, Walk]:
        return changed_sampling(self.document, self.registry, **changes)

    def _plan(
        self,
        *,
        count: int | None,
        seed: Seed | list[Seed],
        sampling: tuple[Sampling, Walk],
        conditions: Mapping[str, Any],
        negative: Mapping[str, Any] | None,
    ) -> SamplingPlan:
        """Everything about the samples that is settled before the first network call."""
        if count is None and not isinstance(seed, int):
            count = len(sample_keys(seed, None))
        raw, agreed = self.conditioning.check(conditions, count)
        keys = sample_keys(seed, agreed)
        section, walk = sampling
        away = self.conditioning.check_negative(negative or {}, len(keys))
        if away and (section.guidance is None or section.guidance.scale == 1):
            raise DiffloomError(
                f"negative: without guidance nothing leads away from {', '.join(away)}; give a guidance scale above 1"
            )
        self.module.eval()
        return SamplingPlan(pipeline=self, section=section, walk=walk, keys=keys, raw=raw, negative=away)

    def _recipe(self, plan: SamplingPlan, *, own_walk: Walk | None) -> dict[str, Any]:
        """How to draw again; a walk given as an object has no configuration, so the recipe only says what it was."""
        return {
            "diffloom": diffloom.__version__,
            "config": config.digest(self.document),
            "weights": self.weights_digest,
            "seeds": [list(key) for key in plan.keys],
            "sampling": plain(plan.section) | ({} if own_walk is None else {"sampler": repr(own_walk)}),
            "conditions": self._recorded(plan.raw),
            **({"negative": self._recorded(plan.negative)} if plan.negative else {}),
        }

    def _recorded(self, raw: Raw) -> dict[str, list[Any]]:
        """Raw conditions as a recipe tells them."""
        configs = self.document.conditioners
        return {
            name: [None if value is None else configs[name].recorded(value) for value in values]
            for name, values in raw.items()
        }

    def levels(self, sampling: Sampling) -> tuple[Level, ...]:
        """The noise levels a sampling section visits, its end last: clean, or time 0.

        A grid that visits time 0 before it ends there takes one step less: that step would change nothing.
        """
        times = sampling.spacing.times(length=self.document.schedule.length, steps=sampling.steps)
        if sampling.end == "clean":
            return self.schedule.levels(times)
        return self.schedule.levels([*(time for time in times if time > 0), 0.0])[:-1]


def _dtype(module: nn.Module) -> torch.dtype:
    """The type of a module's weights; float32 for those without."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
