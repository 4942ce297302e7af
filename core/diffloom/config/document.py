"""The YAML file as a whole: its sections, its parts, their defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from diffloom.config.buckets import Buckets
from diffloom.kinds import (
    EMA,
    Attention,
    Backbone,
    Caching,
    Conditioner,
    ConditionInfo,
    Correction,
    Data,
    Default,
    Guidance,
    ImageInfo,
    LRSchedule,
    Objective,
    Optimizer,
    Prediction,
    Sampler,
    Schedule,
    Section,
    Setting,
    Space,
    SpaceInfo,
    Spacing,
    Tracker,
    Variance,
)

if TYPE_CHECKING:
    from typing import Self


class Image(Section):
    """The picture's own shape; data are checked against it."""

    size: PositiveInt | tuple[PositiveInt, PositiveInt]
    """Pixels: one number for a square, or [height, width]."""
    channels: PositiveInt = 3
    """1 for grey, 3 for RGB."""
    buckets: Buckets | None = None
    """Train on pictures of other aspect ratios too, each batch of one shape; null gives every example the shape above.
    Samples have that shape in any case."""

    @model_validator(mode="after")
    def _has_buckets(self) -> Self:
        _ = self.info  # raises ValueError where there are none
        return self

    @property
    def info(self) -> ImageInfo:
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        shapes = () if self.buckets is None else self.buckets.shapes((height, width))
        return ImageInfo(height=height, width=width, channels=self.channels, shapes=shapes)


class Sampling(Section):
    """How samples are drawn unless told otherwise. Changing the sampler leaves all else here as it is."""

    sampler: Sampler
    """The algorithm."""
    steps: PositiveInt
    """How many noise levels the sampler visits."""
    spacing: Annotated[Spacing, Default("leading")]
    """Which noise levels these are."""
    end: Literal["clean", "first"] = "clean"
    """Where the walk ends: at the clean picture, or at the schedule's first time, whose little noise stays in it
    (Stable Diffusion's DDIM)."""
    clip: PositiveFloat | None = None
    """Clamp the predicted x₀ to [-clip, clip] at every step: 1.0 suits pixels; null leaves it alone."""
    guidance: Guidance | None = None
    """Steers the samples; null is the plain conditional model."""
    corrections: tuple[Correction, ...] = ()
    """Mend the guided prediction, one after another, before it is clipped."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """What networks compute in; the solver, norms' statistics and the last layer stay in float32. `fp32` is exact.
    `auto` is fp32 but for large networks on devices that were measured to compute faster in bf16; the recipe of a
    picture says which it was."""
    compile: bool = False
    """Compile each block with torch.compile; its rounding differs a little."""
    caching: Caching | None = None
    """Remember parts of the network from level to level; null computes all of it at each."""
    offload: bool = False
    """Keep on the device only what works: text encoders, the network and the decoder are moved there in turn."""


class Sentinel(Section):
    """What watches over a run and names the causes of what goes wrong. It changes no number."""

    every: PositiveInt | None = 250
    """Steps between close looks at the examples of one pass, each of which takes as long as some four steps of them;
    null looks only at what each step shows by itself, and so do sharded weights."""
    stops: bool = False
    """End the run at the first finding, saved and with exit code 3; otherwise findings are told and written."""


class Train(Section):
    """The training run."""

    steps: PositiveInt
    """Optimiser steps in all."""
    batch_size: PositiveInt
    """Examples in one optimiser step, over all processes."""
    micro_batch_size: PositiveInt | None = None
    """Most examples that a device takes at once: a process goes through its share of a batch in as many passes as that
    needs, and their gradients add up. Changes memory and speed, no number. null takes the share whole."""
    lr: PositiveFloat
    """Learning rate at its highest."""
    lr_schedule: Annotated[LRSchedule, Default("constant")]
    """How the learning rate goes over the run."""
    optimizer: Annotated[Optimizer, Default("adamw")]
    """How the weights follow their gradients."""
    grad_clip: PositiveFloat | None = 1.0
    """Largest gradient norm; larger gradients are scaled down to it. null does not clip."""
    ema: Annotated[EMA, Default("exponential")]
    """The average of the weights that samples are drawn from."""
    further_ema: dict[str, EMA] = Field(default_factory=dict)
    """More averages of the same run, by names of one's own; `diffloom sample --weights NAME` draws from one."""
    snapshot_every: PositiveInt | None = None
    """Steps between snapshots of every average of type `power`, from which `diffloom ema reconstruct` makes averages
    that the run did not keep; one more is taken at the end. null takes none."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """What networks compute in while they train; weights, averages and losses stay in float32. `fp32` is exact, `tf32`
    rounds the factors of products on NVIDIA GPUs, `bf16` and `fp16` are torch's autocast, `fp16` with loss scaling.
    `auto` is fp32 but for large networks on devices that were measured to compute faster in bf16; it is settled when
    the run begins, the resolved configuration says what it is, and a resumed run keeps it."""
    convolutions: Literal["auto", "direct", "winograd"] = "auto"
    """How 3×3 convolutions are computed while they train in float32 on a CPU: `direct`, or with 4/9 of the
    multiplications and other roundings (`winograd`), the gradients too. `auto` takes what was measured to be faster
    where the run begins; a resumed run keeps it."""
    gradient_checkpointing: bool = False
    """Keep only what enters each block and compute the rest again on the way back: less memory, more time, the same
    numbers."""
    compile: bool = False
    """Compile each block with torch.compile; its rounding differs a little."""
    parallel: Literal["data", "sharded"] = "data"
    """With several processes: each has all weights (data parallel), or a share of them (FSDP2)."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    """Keys every random number of the run: initial weights, order, times, noise, dropout."""
    log_every: PositiveInt = 50
    """Steps between rows of metrics.jsonl."""
    sample_every: PositiveInt | None = None
    """Steps between sample grids; null draws none."""
    checkpoint_every: PositiveInt = 1000
    """Steps between checkpoints; one more is written at the end."""
    keep_checkpoints: PositiveInt = 2
    """How many of the newest checkpoints stay."""
    keep_every: PositiveInt | None = None
    """Checkpoints of steps that this divides stay too; null keeps none beside the newest."""
    workers: NonNegativeInt = 0
    """Processes that read examples ahead of the training; 0 reads them in between. Changes no number."""
    trackers: tuple[Tracker, ...] = ()
    """Where figures and pictures go beside the run folder, whose metrics.jsonl is always written."""
    sentinel: Sentinel = Sentinel()
    """What watches over the run and names what goes wrong."""


class PictureDocument(Section):
    """What every file says."""

    image: Image
    """The picture's shape."""
    space: Space
    """What becomes of the picture."""
    attention: Annotated[Attention, Default("auto")]
    """Who computes attention, in every network."""

    @property
    def space_info(self) -> SpaceInfo:
        """The shape of what the space makes of a picture."""
        return self.space.info(self.image.info)


class Document(PictureDocument):
    """A diffloom configuration: the parts of one model, and how it is trained and sampled."""

    weights: str | None = None
    """Where the weights of the whole model begin: a checkpoint, or a file or folder that `diffloom convert` reads; null
    leaves it to each part's own `weights`, and the rest to chance."""
    space: Annotated[Space, Default("pixel")]
    """Where diffusion happens."""
    conditioners: dict[str, Conditioner] = Field(default_factory=dict)
    """Conditions by name; the data's example and the command line use the same name."""
    backbone: Backbone
    """The denoising network."""
    schedule: Schedule
    """The noise schedule."""
    prediction: Prediction
    """What the network outputs."""
    variance: Annotated[Variance, Default("fixed_small")]
    """Variance of the reverse step, for samplers that take one."""
    objective: Annotated[Objective, Default("simple")]
    """The training loss."""
    sampling: Sampling
    """How samples are drawn."""
    data: Data | None = None
    """The examples; only training needs them."""
    latents: str | None = None
    """A folder that `diffloom cache` made of these data: training reads latents from it and encodes no pictures."""
    train: Train | None = None
    """The training run; only training needs it."""
    plugins: dict[str, str] = Field(default_factory=dict)
    """Versions of the plugins this file was resolved with; diffloom writes it."""

    @property
    def setting(self) -> Setting:
        """What conditioners are told of the model."""
        return Setting(image=self.image.info, space=self.space_info)

    @property
    def condition_info(self) -> ConditionInfo:
        """What the conditioners give the backbone together."""
        info = ConditionInfo()
        for conditioner in self.conditioners.values():
            info = info.join(conditioner.info(self.setting))
        return info
