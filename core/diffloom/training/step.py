"""One optimiser step: passes over the step's examples, then the update. Legend: B batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from diffloom.config.document import Train
from diffloom.process import Draws, keyed_generator
from diffloom.training.engine import Engine
from diffloom.training.feed import Batch
from diffloom.training.gathering import joined
from diffloom.training.optimizer import learning_rate
from diffloom.training.parallel import Parallel
from diffloom.training.state import TrainState
from diffloom.training.task import Losses


@dataclass(frozen=True)
class Taken:
    """What an optimiser step computed, over all of its examples, however they were split."""

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
    updated: bool = True
    """Whether the weights moved: not where a gradient overflowed in fp16, and not where loss or gradient was not finite
    on the CPU, where it costs nothing to see that in time."""


class OptimizerStep:
    """Takes the optimiser steps of a run, one after another."""

    def __init__(self, state: TrainState, train: Train, engine: Engine, parallel: Parallel) -> None:
        self._state = state
        self._train = train
        self._processes = engine.processes
        self._split = engine.split
        self._parallel = parallel

    def take(self, passes: Sequence[Batch]) -> Taken:
        """Go through this process's examples and move the weights; gradients add up over passes and processes.

        Noise, times and dropout are keyed by example, and the loss is the mean over the whole step, so that the update
        does not depend on how the step is split.
        """
        state, train = self._state, self._train
        step = state.step + 1
        state.optimizer.zero_grad(set_to_none=True)
        parts = [self._pass(batch, step=step, number=number) for number, batch in enumerate(passes)]
        self._add_up()
        losses = joined(parts, split=self._split, processes=self._processes)
        state.scaler.unscale(state.optimizer)
        norm = self._clip()
        rate = learning_rate(step, train)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        draws = Draws.of(train.seed, self._positions(step))
        updated = self._may_update(losses, norm) and state.scaler.step(state.optimizer)
        if updated:
            for average in state.averages.values():
                average.update(step)
            state.task.observe(draws, losses.each_B)
        state.step = step
        return Taken(step, draws, losses, norm, rate, updated)

    def _pass(self, batch: Batch, *, step: int, number: int) -> Losses:
        """Add the gradient of one pass; returns its losses without it."""
        train, split = self._train, self._split
        # What draws from torch's own generator is the same after a resume, and whoever drew from it in between (an
        # observer, a sampler) has changed nothing.
        chunk = split.process * len(split.passes) + number
        _seed_torch(
            int(keyed_generator(train.seed, step, chunk, "network").integers(2**63)), self._state.task.device
        )

        def backward(losses: Losses) -> None:
            # An example's gradient is as large in any split, so that fp16 holds it, or does not, in each of them.
            loss = losses.each_B.sum() / train.batch_size
            self._state.scaler.scaled(loss).backward()  # type: ignore[no-untyped-call]

        draws = Draws.of(train.seed, batch.positions)
        with torch.enable_grad():
            losses = self._parallel.through(
                (batch, draws, step), backward, is_last=number == len(split.passes) - 1
            )
        return Losses(losses.each_B.detach(), losses.figures, losses.t_B)

    def _add_up(self) -> None:
        """Gradients have been averaged over the processes, and what a step wants is their sum."""
        if self._split.processes > 1:
            torch._foreach_mul_(self._gradients, self._split.processes)

    @property
    def _gradients(self) -> list[Tensor]:
        return [weight.grad for weight in self._state.parameters.values() if weight.grad is not None]

    def _positions(self, step: int) -> range:
        """The places in the run of all of a step's examples."""
        size = self._train.batch_size
        return range((step - 1) * size, step * size)

    def _clip(self) -> Tensor:
        """Scale the gradient down to the largest norm there may be; returns its norm before, a plain scalar."""
        norm = torch.nn.utils.get_total_norm(self._gradients)
        if self._train.grad_clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self._state.parameters.values(), self._train.grad_clip, norm)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def _may_update(self, losses: Losses, norm: Tensor) -> bool:
        """On the CPU, whether the gradient is a number; elsewhere asking would wait for the device."""
        if self._state.task.device.type != "cpu" or self._state.scaler.is_on:
            return True
        return bool(torch.isfinite(norm) & torch.isfinite(losses.each_B).all())


def _seed_torch(seed: int, device: torch.device) -> None:
    """Set torch's own generators: the CPU's alone where that will do, as `torch.manual_seed` takes a millisecond."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
