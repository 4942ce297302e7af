"""One optimiser step: passes over the step's examples, then the update. Legend: B batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.config.document import Train
from diffloom.process import Draws, keyed_generator
from diffloom.training.engine import Engine, LossModule
from diffloom.training.feed import Batch
from diffloom.training.optimizer import learning_rate
from diffloom.training.state import TrainState
from diffloom.training.task import Losses


@dataclass(frozen=True)
class Taken:
    """What an optimiser step computed, over all of its examples."""

    step: int
    """Its number, counted from 1."""
    draws: Draws
    """The examples' keys."""
    losses: Losses
    """What each cost."""
    grad_norm: Tensor
    """Norm of the whole gradient before clipping, a scalar."""
    lr: float
    """The learning rate of the update."""


class OptimizerStep:
    """Takes the optimiser steps of a run, one after another."""

    def __init__(self, state: TrainState, train: Train, engine: Engine) -> None:
        self._state = state
        self._train = train
        self._engine = engine
        self._module = LossModule(state.task)

    def take(self, passes: Sequence[Batch]) -> Taken:
        """Go through the passes' examples and move the weights; gradients add up over the passes.

        Noise, times and dropout are keyed by example, and the loss is the mean over the whole step, so that the update
        does not depend on how the step is split.
        """
        state, train = self._state, self._train
        step = state.step + 1
        state.optimizer.zero_grad(set_to_none=True)
        parts = [self._pass(batch, step=step, number=number) for number, batch in enumerate(passes)]
        draws = Draws.of(train.seed, [position for batch in passes for position in batch.positions])
        parameters = list(state.parameters.values())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if train.grad_clip is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, train.grad_clip, norm)
        rate = learning_rate(step, train)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.step()
        for average in state.averages.values():
            average.update(step)
        losses = _joined(parts)
        state.task.observe(draws, losses.each_B)
        state.step = step
        return Taken(step, draws, losses, norm, rate)

    def _pass(self, batch: Batch, *, step: int, number: int) -> Losses:
        """Add the gradient of one pass; returns its losses without it."""
        train, device = self._train, self._state.task.device
        # What draws from torch's own generator is the same after a resume, and whoever drew from it in between (an
        # observer, a sampler) has changed nothing.
        _seed_torch(int(keyed_generator(train.seed, step, number, "network").integers(2**63)), device)
        with torch.enable_grad(), self._engine.autocast():
            losses: Losses = self._module(batch, Draws.of(train.seed, batch.positions), step)
        self._engine.backward(losses.each_B.sum() / train.batch_size)
        return Losses(losses.each_B.detach(), losses.figures, losses.t_B)


def _joined(parts: Sequence[Losses]) -> Losses:
    """The losses of all passes; figures are their means, each weighed by its examples."""
    each_B = torch.cat([part.each_B for part in parts])
    times = [part.t_B for part in parts if part.t_B is not None]
    figures: Mapping[str, Tensor] = {
        name: torch.stack([part.figures[name] * (len(part.each_B) / len(each_B)) for part in parts]).sum()
        for name in parts[0].figures
    }
    return Losses(each_B, figures, torch.cat(times) if times else None)


def _seed_torch(seed: int, device: torch.device) -> None:
    """Set torch's own generators: the CPU's alone where that will do, as `torch.manual_seed` takes a millisecond."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
