"""A run of ours that is taken a step at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from benchmarks.speed.case import Precision
from benchmarks.speed.defaults import computed_in
from benchmarks.speed.peers import ours_of
from benchmarks.speed.works.sampling_step import CIFAR
from diffusers import UNet2DModel
from torch import Tensor

from diffloom import config
from diffloom.heap import hoarded_heap
from diffloom.inference import compute
from diffloom.kinds import DataInfo, Example
from diffloom.nn.winograd import winograd_is_faster
from diffloom.plugins import load_plugins
from diffloom.process import Draws
from diffloom.sentinel import Watch
from diffloom.training.diffusion import DiffusionTask
from diffloom.training.engine import Engine
from diffloom.training.opening import Opening
from diffloom.training.precision import products
from diffloom.training.preparation import Prepared
from diffloom.training.readiness import readied
from diffloom.training.state import TrainState
from diffloom.training.step import OptimizerStep
from diffloom_objectives.noising import Noised

OPTIMIZER = {"lr": 1e-4, "betas": (0.95, 0.999), "weight_decay": 1e-6, "eps": 1e-8}
"""What diffusers' example sets."""
STEPS = 30
"""More than are ever taken."""


@dataclass(frozen=True)
class Setting:
    """A network, as each side writes it, and its batch."""

    millions: float
    """Parameters."""
    peer: Mapping[str, Any]
    """Of diffusers' `UNet2DModel`."""
    backbone: Mapping[str, Any]
    """Of a configuration."""
    side: int
    """Of its pictures, in pixels."""
    batch: int = 16


CIFAR_STEP = Setting(35.7, CIFAR, {"type": "unet", "attention_resolutions": [16]}, side=32)
LDM_STEP = Setting(
    274,
    {
        "sample_size": 64,
        "block_out_channels": (224, 448, 672, 896),
        "down_block_types": ("DownBlock2D", *("AttnDownBlock2D",) * 3),
        "up_block_types": (*("AttnUpBlock2D",) * 3, "UpBlock2D"),
        "attention_head_dim": 32,
    },
    {
        "type": "unet",
        "channels": [224, 448, 672, 896],
        "attention_resolutions": [32, 16, 8],
        "head_channels": 32,
        "norm_eps": 1e-5,
        "downsample_padding": "symmetric",
        "time_cos_first": True,
        "time_frequency_shift": 0,
    },
    side=64,
)
"""The network of Rombach et al. 2022 for CelebA-HQ, LDM-4."""


class Pictures:
    """Noise in place of pictures, in memory."""

    def __init__(self, setting: Setting) -> None:
        generator = np.random.Generator(np.random.PCG64(0))
        shape = (4 * setting.batch, 3, setting.side, setting.side)
        self._images_NCHW = generator.standard_normal(shape, np.float32).clip(-1, 1)
        self.info = DataInfo(examples=len(self))

    def __len__(self) -> int:
        return len(self._images_NCHW)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        return Example(self._images_NCHW[index], {})


def document(setting: Setting, **train: object) -> config.Document:
    """The configuration of a run that trains by the example's recipe."""
    source = {
        "image": {"size": setting.side, "channels": 3},
        "backbone": setting.backbone,
        "schedule": {"type": "linear", "steps": 1000},
        "prediction": "epsilon",
        "sampling": {"sampler": "ddim", "steps": 50},
        "train": {
            "steps": STEPS,
            "batch_size": setting.batch,
            "lr": OPTIMIZER["lr"],
            "lr_schedule": {"warmup_steps": 0},
            "optimizer": {name: OPTIMIZER[name] for name in ("betas", "weight_decay", "eps")},
            "grad_clip": 1.0,
            "ema": {"decay": 0.9999},
            **train,
        },
    }
    found = config.load(source, registry=load_plugins().registry).document
    assert isinstance(found, config.Document)
    return found


class Ours:
    """The steps of `diffloom train`, from the peer's weights."""

    def __init__(
        self,
        setting: Setting,
        peer: UNet2DModel,
        device: torch.device,
        *,
        asks: compute.Precision,
        compiles: bool = False,
    ) -> None:
        network = ours_of(peer, device)
        self.precision: Precision = computed_in(asks, network)
        """What it computes in, which `auto` leaves to be found."""
        by_winograd = self.precision == "fp32" and winograd_is_faster(device, threads=torch.get_num_threads())
        convolutions = "winograd" if by_winograd else "direct"
        made = document(setting, precision=self.precision, compile=compiles, convolutions=convolutions)
        train = made.train
        assert train is not None
        engine = Engine(train, device=device)
        opening = Opening(Prepared(made, train, Pictures(setting)), load_plugins(), engine)
        task = opening.task(filled=False)
        assert isinstance(task, DiffusionTask)
        self._task = task
        task.pipeline.backbone.load_state_dict(network.state_dict())
        readied(task, train, engine.split)
        parallel = engine.parallel(task)
        self._state = TrainState(task, train)
        self._state.train_mode()
        self._step = OptimizerStep(self._state, train, engine, parallel)
        self._watch = Watch(train, self._state, engine)
        self._feed = opening.feed(task, None)
        self._passes = self._feed.steps(first_step=0, last_step=STEPS)

    def step(self) -> Tensor:
        """The losses of the next step."""
        with products(self.precision), hoarded_heap():  # a run has it from beginning to end
            taken = self._step.take(next(self._passes))
            self._state.meter.add(step=taken.step, losses=taken.losses, grad_norm=taken.grad_norm)
            if self._task.device.type == "cpu":
                assert self._state.meter.bad_step() is None
            self._watch.heard(taken, waited_seconds=0.0, seconds=1.0)
            # A run lets go of its gradients when its next step begins, the peer at the end of its own.
            self._state.optimizer.zero_grad(set_to_none=True)
        return taken.losses.each_B

    def examples(self) -> Iterator[Noised]:
        """What each of its steps shows the network."""
        for (batch,) in self._feed.steps(first_step=0, last_step=STEPS):
            draws = Draws.of(0, batch.positions)
            x0_BCHW = self._task.x0(batch, draws)
            yield self._task.loss.noising(x0_BCHW, process=self._task.pipeline.process, draws=draws)
