"""What networks compute in while they train: torch's autocast, TF32, and the loss scaling of fp16.

Weights, averages, noise, latents and losses are in float32 with each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from diffloom.inference import products as rounding

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
"""What a configuration may say; `auto` is settled when a run begins (`training.settling`), and float32 until then."""
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """While entered, networks compute in this precision.

    Enter it anew for each call of a network: autocast keeps what it has cast until it is left, and what was cast
    without gradients would serve a call that needs them.
    """
    if precision not in HALVES:
        return nullcontext()
    return torch.autocast(device.type, dtype=HALVES[precision])


def products(precision: Precision) -> AbstractContextManager[None]:
    """While entered, NVIDIA GPUs round the factors of float32 products to TF32 where this says `tf32`; only there."""
    return rounding.products(tf32=precision == "tf32")


class LossScaler:
    """Loss scaling (Micikevicius et al. 2018, section 3.2) where the precision is fp16; does nothing elsewhere.

    A step whose gradient overflows is not taken, and the scale is halved: that is how the scale is found.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self.is_on = precision == "fp16"
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.is_on)
        self.skipped = 0
        """Steps not taken since the last row of metrics."""
        self.skipped_in_a_row = 0
        """Steps not taken since the last that was."""

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to go backward from."""
        scaled: Tensor = self._scaler.scale(loss)
        return scaled

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the optimiser's gradients their own size again."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> bool:
        """Take the optimiser's step unless a gradient has overflowed; returns whether it was taken.

        Waits for the device where the precision is fp16: the averages must know.
        """
        self._scaler.step(optimizer)
        if not self.is_on:
            return True
        before = self._scaler.get_scale()
        self._scaler.update()
        is_taken = self._scaler.get_scale() >= before
        self.skipped += not is_taken
        self.skipped_in_a_row = 0 if is_taken else self.skipped_in_a_row + 1
        return is_taken

    def read(self) -> int:
        """How many steps were not taken since the last reading."""
        count, self.skipped = self.skipped, 0
        return count

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint; nothing where there is no scaling."""
        if not self.is_on:
            return {}
        state = self._scaler.state_dict()
        return {
            "scale": torch.tensor(state["scale"], dtype=torch.float64),
            "growth_tracker": torch.tensor(state["_growth_tracker"]),
            "skipped": torch.tensor(self.skipped),
            "skipped_in_a_row": torch.tensor(self.skipped_in_a_row),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` gave."""
        state = self._scaler.state_dict()
        found = {"scale": float(tensors["scale"]), "_growth_tracker": int(tensors["growth_tracker"])}
        self._scaler.load_state_dict({**state, **found})
        self.skipped = int(tensors["skipped"])
        self.skipped_in_a_row = int(tensors["skipped_in_a_row"])
