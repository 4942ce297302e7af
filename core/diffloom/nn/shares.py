"""Work divided among threads of our own, in each of which torch computes with one.

torch divides every operation by itself and waits for all threads after each: between small ones they wait longer than
they compute. Here a thread goes through all operations of its share alone; Python's lock is free while torch computes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

Item = TypeVar("Item")
Result = TypeVar("Result")
WORTHWHILE = 2**33
"""Multiplications of a share of a network: with fewer, threads wait for Python's lock as long as they would have waited
for each other. On two Xeon cores Stable Diffusion's encoder gained a fifth at 128 pixels a side, where a share has
2³⁴, and its decoder lost a sixth at 64, where it has 2³²·⁹.
"""


def shares(*, multiplications: int | None = None) -> int:
    """How many threads may share work that is begun here: torch's; one where torch compiles or casts by itself, and
    where somebody watches this thread's operations, as a counter or a plan does, who would not see those of others.

    A network says about how many `multiplications` it has to share: one thread takes all, where they are too few.
    """
    is_bound = (
        torch.compiler.is_compiling()
        or torch.is_autocast_enabled("cpu")
        or _get_current_dispatch_mode() is not None
    )
    threads = 1 if is_bound else torch.get_num_threads()
    return 1 if multiplications is not None and multiplications < threads * WORTHWHILE else threads


def alone(work: Callable[[], Result]) -> Result:
    """What `work` returns in one of these threads, where torch computes with one."""
    pool = _pool(os.getpid(), torch.get_num_threads())
    return pool.submit(work).result()


def in_shares(work: Callable[[Sequence[Item]], Result], items: Sequence[Item]) -> list[Result]:
    """Call `work` on consecutive parts of `items` at the same time, in so many threads as there are `shares` or items;
    what it returned for each part, in their order.

    A thread begins without its caller's modes: it is given those of gradients.
    """
    threads = min(shares(), len(items))
    if threads < 2:
        return [work(items)]
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def do(share: int) -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return work(items[share * len(items) // threads : (share + 1) * len(items) // threads])

    # whatever a share raised is raised here
    return list(_pool(os.getpid(), torch.get_num_threads()).map(do, range(threads)))


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """This process's threads, kept: those of its parent are not its own."""
    started = Barrier(threads)

    def alone() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread takes torch's number once, when it first needs it: let it be now
        started.wait()

    pool = ThreadPoolExecutor(threads, "diffloom-share")
    for begun in [pool.submit(alone) for _ in range(threads)]:
        begun.result()
    torch.set_num_threads(threads)  # what torch gives to threads that begin later; this one's was not touched
    return pool
