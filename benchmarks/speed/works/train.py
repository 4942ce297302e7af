"""One step of training: the U-Net of 35.7 million parameters, 16 pictures of 32×32, AdamW, clipping, an average.

Ours is a step as `diffloom train` takes it: the feed, the keyed draws, the update, the meter, the sentinel. The peer's
is the step of diffusers' unconditional training example without accelerate around it; its batch and its noise are
ready for it. Both start from the same weights and see the same examples, times and noise: what is compared are the
examples' losses after an update.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.peers import gflop, ours_of, stirred
from benchmarks.speed.works.sampling_step import CIFAR
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.nn import functional

from diffloom import config
from diffloom.kinds import DataInfo, Example
from diffloom.plugins import load_plugins
from diffloom.process import Draws
from diffloom.sentinel import Watch
from diffloom.training.diffusion import DiffusionTask
from diffloom.training.engine import Engine
from diffloom.training.opening import Opening
from diffloom.training.preparation import Prepared
from diffloom.training.readiness import readied
from diffloom.training.state import TrainState
from diffloom.training.step import OptimizerStep
from diffloom_objectives.noising import Noised

BATCH = 16
OPTIMIZER = {"lr": 1e-4, "betas": (0.95, 0.999), "weight_decay": 1e-6, "eps": 1e-8}
"""What the example sets."""
STEPS = 30
"""More than are ever taken."""


class Pictures:
    """Noise in place of pictures, in memory."""

    def __init__(self) -> None:
        generator = np.random.Generator(np.random.PCG64(0))
        self._images_NCHW = generator.standard_normal((4 * BATCH, 3, 32, 32), np.float32).clip(-1, 1)
        self.info = DataInfo(examples=len(self))

    def __len__(self) -> int:
        return len(self._images_NCHW)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        return Example(self._images_NCHW[index], {})


class Ours:
    """A run that is taken a step at a time."""

    def __init__(self, peer: UNet2DModel, device: torch.device, **settings: object) -> None:
        plugins = load_plugins()
        document = config.load(
            {
                "image": {"size": 32, "channels": 3},
                "backbone": {"type": "unet", "attention_resolutions": [16]},
                "schedule": {"type": "linear", "steps": 1000},
                "prediction": "epsilon",
                "sampling": {"sampler": "ddim", "steps": 50},
                "train": {
                    "steps": STEPS,
                    "batch_size": BATCH,
                    "lr": OPTIMIZER["lr"],
                    "lr_schedule": {"warmup_steps": 0},
                    "optimizer": {name: OPTIMIZER[name] for name in ("betas", "weight_decay", "eps")},
                    "grad_clip": 1.0,
                    "ema": {"decay": 0.9999},
                    **settings,
                },
            },
            registry=plugins.registry,
        ).document
        assert document.train is not None
        self.engine = Engine(document.train, device=device)
        opening = Opening(Prepared(document, document.train, Pictures()), plugins, self.engine)
        task = opening.task(filled=False)
        assert isinstance(task, DiffusionTask)
        self.task = task
        task.pipeline.backbone.load_state_dict(ours_of(peer, device).state_dict())
        readied(task, document.train, self.engine.split)
        parallel = self.engine.parallel(task)
        self._state = TrainState(task, document.train)
        self._state.train_mode()
        self._step = OptimizerStep(self._state, document.train, self.engine, parallel)
        self._watch = Watch(document.train, self._state, self.engine)
        self._feed = opening.feed(task, None)
        self._passes = self._feed.steps(first_step=0, last_step=STEPS)

    def step(self) -> Tensor:
        """The losses of the next step."""
        taken = self._step.take(next(self._passes))
        self._state.meter.add(step=taken.step, losses=taken.losses, grad_norm=taken.grad_norm)
        if self.task.device.type == "cpu":
            assert self._state.meter.bad_step() is None
        self._watch.heard(taken, waited_seconds=0.0, seconds=1.0)
        # A run lets go of its gradients when its next step begins, the peer at the end of its own.
        self._state.optimizer.zero_grad(set_to_none=True)
        return taken.losses.each_B

    def examples(self) -> Iterator[Noised]:
        """What each of its steps shows the network."""
        for (batch,) in self._feed.steps(first_step=0, last_step=STEPS):
            draws = Draws.of(0, batch.positions)
            x0_BCHW = self.task.x0(batch, draws)
            yield self.task.loss.noising(x0_BCHW, process=self.task.pipeline.process, draws=draws)


class Theirs:
    """The example's loop."""

    def __init__(self, peer: UNet2DModel, examples: Iterator[Noised], *, halves: bool = False) -> None:
        self._network = UNet2DModel(**CIFAR).to(peer.device)
        self._network.load_state_dict(peer.state_dict())
        self._halves = halves
        if halves:
            self._network.to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.AdamW(self._network.parameters(), **OPTIMIZER)
        self._ema = EMAModel(self._network.parameters(), decay=0.9999, use_ema_warmup=True, power=3 / 4)
        self._scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
        self._examples = iter(
            [(one.x0_BCHW, one.eps_BCHW, one.t_B.long().to(peer.device)) for one in examples]
        )

    def step(self) -> Tensor:
        """The losses of the next step."""
        x0_BCHW, eps_BCHW, t_B = next(self._examples)
        noisy_BCHW = self._scheduler.add_noise(x0_BCHW, eps_BCHW, t_B)
        with torch.autocast(x0_BCHW.device.type, dtype=torch.bfloat16, enabled=self._halves):
            output_BCHW = self._network(noisy_BCHW, t_B).sample
        error_BCHW = functional.mse_loss(output_BCHW.float(), eps_BCHW, reduction="none")
        error_BCHW.mean().backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._ema.step(self._network.parameters())
        return error_BCHW.detach().flatten(1).mean(1)


def cases(device: torch.device) -> Iterator[Case]:
    """In float32, and in bf16 by autocast; each side has taken a step before, so that losses show an update."""
    peer = stirred(UNet2DModel(**CIFAR)).to(device)
    title = "pixel U-Net 35.7 M, training step, batch 16"
    asked = {"fp32": "≥ 1.14, memory ≤ 0.95", "bf16": "≥ 1.03, memory ≤ 0.78 of diffusers fp32"}
    for precision, target in asked.items():
        ours = Ours(peer, device, precision=precision)
        theirs = Theirs(peer, ours.examples(), halves=precision == "bf16")
        name = "diffusers fp32" if precision == "fp32" else "diffusers bf16, channels_last"
        work = gflop(theirs.step)
        ours.step()
        yield Case(
            title,
            Arm(name, theirs.step),
            [Arm(f"diffloom {precision}", ours.step)],
            work,
            rounds=3 if precision == "fp32" else 2,
            target=target,
        )
