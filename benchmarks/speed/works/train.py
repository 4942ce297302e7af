"""One step of training: the U-Net of 35.7 million parameters, 16 pictures of 32×32, AdamW, clipping, an average.

On a GPU one of 274 million too, on 64×64, and the peer compiled. Ours is a step as `diffloom train` takes it: the feed,
the keyed draws, the update, the meter, the sentinel. The peer's is the step of diffusers' unconditional training
example without accelerate around it; its batch and its noise are ready for it. Both start from the same weights and see
the same examples, times and noise: what is compared are the examples' losses after an update.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.compiled import compiled
from benchmarks.speed.defaults import with_defaults
from benchmarks.speed.goal import Goal
from benchmarks.speed.peers import gflop, stirred
from benchmarks.speed.training import CIFAR_STEP, LDM_STEP, OPTIMIZER, Ours, Setting
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.nn import functional

from diffloom_objectives.noising import Noised

ROW = "training step"


class Theirs:
    """The example's loop."""

    def __init__(
        self,
        peer: UNet2DModel,
        examples: Iterator[Noised],
        *,
        halves: bool = False,
        compiles: bool = False,
    ) -> None:
        network = UNet2DModel.from_config(peer.config).to(peer.device)
        network.load_state_dict(peer.state_dict())
        self._halves = halves
        if halves:
            network.to(memory_format=torch.channels_last)
        self._weights = list(network.parameters())
        self._network: Any = compiled(network, peer.device) if compiles else network
        self._optimizer = torch.optim.AdamW(self._weights, **OPTIMIZER)
        self._ema = EMAModel(self._weights, decay=0.9999, use_ema_warmup=True, power=3 / 4)
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
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._ema.step(self._weights)
        return error_BCHW.detach().flatten(1).mean(1)


def cases(device: torch.device) -> Iterator[Case]:
    """In float32 and as it comes, then in bf16."""
    yield from _cases(CIFAR_STEP, device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        yield from _cases(LDM_STEP, device)


def _cases(setting: Setting, device: torch.device) -> Iterator[Case]:
    peer = stirred(UNet2DModel(**setting.peer)).to(device)
    title = f"pixel U-Net {setting.millions} M, training step, batch {setting.batch}"
    row = ROW if setting is CIFAR_STEP else f"{ROW} of {setting.millions} M"
    yield from _in_float32(title, row, setting, peer, device)
    yield _in_halves(title, row, setting, peer, device)
    if device.type == "cuda":
        yield _compiled(title, row, setting, peer, device)


def _in_float32(
    title: str, row: str, setting: Setting, peer: UNet2DModel, device: torch.device
) -> Iterator[Case]:
    """And as it comes."""
    exact, comes = Ours(setting, peer, device, asks="fp32"), Ours(setting, peer, device, asks="auto")
    same = [Goal(f"{row}, fp32", "speed", 1.14, 1.35), Goal(f"{row}, fp32", "memory", 0.95)]
    default = [
        Goal(f"{row}, as it comes", "speed", 1.9, by_bf16=True),
        Goal(f"{row}, as it comes", "memory", 0.78, by_bf16=True),
    ]
    theirs = Arm("diffusers fp32", Theirs(peer, exact.examples()).step)
    case = Case(title, theirs, [Arm("diffloom fp32", exact.step, same)], counts=True, rounds=5)
    yield from with_defaults(
        case,
        Arm("diffloom as it comes", comes.step, default, comes.precision),
        device,
        anew=lambda: Theirs(peer, exact.examples()).step,
    )


def _in_halves(title: str, row: str, setting: Setting, peer: UNet2DModel, device: torch.device) -> Case:
    """By autocast."""
    halves = Ours(setting, peer, device, asks="bf16")
    theirs = Theirs(peer, halves.examples(), halves=True)
    goal = Goal(f"{row}, bf16", "speed", 1.5 if device.type == "cuda" else 1.03)
    return Case(
        title,
        Arm("diffusers bf16, channels_last", theirs.step, precision="bf16"),
        [Arm("diffloom bf16", halves.step, [goal], "bf16")],
        counts=True,
        rounds=3,
        fewest=3,
    )


def _compiled(title: str, row: str, setting: Setting, peer: UNet2DModel, device: torch.device) -> Case:
    goal = Goal(f"{row}, bf16, beside compiled", "speed", 1.1)
    plain, blocks = (Ours(setting, peer, device, asks="bf16", compiles=word) for word in (False, True))
    work = gflop(Theirs(peer, plain.examples(), halves=True).step)
    theirs = Theirs(peer, plain.examples(), halves=True, compiles=True)
    return Case(
        title,
        Arm("diffusers bf16, compiled", theirs.step, precision="bf16"),
        [
            Arm("diffloom bf16", plain.step, [goal], "bf16"),
            Arm("diffloom bf16, compiled", blocks.step, [goal], "bf16"),
        ],
        work,
        rounds=5,
    )
