"""How the weights of a run are held: by one process, by each of several (data parallel), or in shares (FSDP2)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from diffloom.nn import blocks
from diffloom.process import Draws
from diffloom.training.feed import Batch
from diffloom.training.processes import Processes
from diffloom.training.task import Losses, Task, freeze

T = TypeVar("T")
Pass = tuple[Batch, Draws, int]
"""What a task's losses are of: the examples, their draws, the step."""


class Parallel(Protocol):
    """The weights of a run, within reach of what computes with them."""

    is_sharded: bool
    """Whether each process has only a share of them."""

    def through(self, given: Pass, backward: Callable[[Losses], None], *, is_last: bool) -> Losses:
        """The task's losses of a pass, and `backward` from them. After the last pass of a step the gradients are
        averaged over the processes."""
        ...

    def drawn(self, draw: Callable[[], T]) -> T:
        """What `draw` makes of the weights, without gradients. Where they are sharded, all processes take part."""
        ...


class LossModule(nn.Module):
    """All that is trained, with the loss as its forward pass: what data parallelism and sharding wrap."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.parts = task.module
        self.beside = task.beside
        self._task = (task,)  # outside the tree of modules

    def forward(self, given: Pass | Callable[[], Any]) -> Any:
        """The losses of a pass, as a tuple, through which DDP and FSDP look for tensors; or what a callable gives."""
        if callable(given):
            return given()
        batch, draws, step = given
        losses = self._task[0].losses(batch, draws, step=step)
        return losses.each_B, dict(losses.figures), losses.t_B


class Whole:
    """One process has everything."""

    is_sharded = False

    def __init__(self, task: Task) -> None:
        self._task = task

    def through(self, given: Pass, backward: Callable[[Losses], None], *, is_last: bool) -> Losses:
        batch, draws, step = given
        losses = self._task.losses(batch, draws, step=step)
        backward(losses)
        return losses

    def drawn(self, draw: Callable[[], T]) -> T:
        return draw()


class Copies:
    """Every process has everything, and gradients are averaged: torch's DistributedDataParallel."""

    is_sharded = False

    def __init__(self, task: Task, processes: Processes) -> None:
        self._module = LossModule(task)
        self._processes = processes
        self._wrapped: DistributedDataParallel | None = None

    def through(self, given: Pass, backward: Callable[[Losses], None], *, is_last: bool) -> Losses:
        wrapped = self._wrapped = self._wrapped or DistributedDataParallel(
            self._module, find_unused_parameters=self._leaves_some(given), gradient_as_bucket_view=True
        )
        with nullcontext() if is_last else wrapped.no_sync():
            losses = Losses(*wrapped(given))
            backward(losses)
        return losses

    def drawn(self, draw: Callable[[], T]) -> T:
        return draw()

    def _leaves_some(self, given: Pass) -> bool:
        """Whether a pass leaves some weights without a gradient, in any process: DDP waits for them unless told.

        Such are the null condition of a conditioner without dropout, and a criterion that begins later.
        """
        buffers = [(buffer, buffer.clone()) for buffer in self._module.buffers()]
        each_B, _, _ = self._module(given)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        trained = {id(weight) for weight in self._module.parameters() if weight.requires_grad}
        return any(left for (left,) in self._processes.numbers(len(trained - _reached(each_B))))


class Shares:
    """Every process has a share of each weight, its average and its moments, and gathers a block when it is needed
    (FSDP2, Zhao et al. 2023). What is not trained is in every process.

    To be made before the optimiser, since the weights become other objects.
    """

    is_sharded = True

    def __init__(self, task: Task, processes: Processes) -> None:
        freeze(task)
        mesh = init_device_mesh(processes.device.type, (processes.count,))
        module = LossModule(task)
        still = {weight for weight in module.parameters() if not weight.requires_grad}
        own = [part for part in blocks(module).values() if any(w.requires_grad for w in part.parameters())]
        for part in (*own, module):
            fully_shard(part, mesh=mesh, ignored_params=still)
        self._module = module
        self._shards = [part for part in module.modules() if isinstance(part, FSDPModule)]

    def through(self, given: Pass, backward: Callable[[Losses], None], *, is_last: bool) -> Losses:
        # Gradients are averaged after each pass: kept whole until the last, they would need the memory that is saved.
        losses = Losses(*self._module(given))
        backward(losses)
        return losses

    @torch.no_grad()
    def drawn(self, draw: Callable[[], T]) -> T:
        def gathered() -> T:
            for part in self._shards:
                part.unshard()  # samplers also use weights outside of a forward pass
            return draw()

        try:
            made: T = self._module(gathered)
        finally:
            for part in self._shards:
                part.reshard()
        return made


def _reached(each_B: Tensor) -> set[int]:
    """The leaves of the graph behind a tensor, by id."""
    seen, leaves, ahead = set(), set(), [each_B.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        ahead += [following for following, _ in node.next_functions]
    return leaves
