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

Item = TypeVar("Item")


def in_shares(work: Callable[[Sequence[Item]], None], items: Sequence[Item]) -> None:
    """Call `work` on consecutive parts of `items` at the same time: as many as torch has threads."""
    threads = torch.get_num_threads()
    shares = min(threads, len(items))
    inference = torch.is_inference_mode_enabled()

    def do(share: int) -> None:
        with torch.inference_mode(inference):  # a thread begins without its caller's
            work(items[share * len(items) // shares : (share + 1) * len(items) // shares])

    for _ in _pool(os.getpid(), threads).map(do, range(shares)):
        pass  # whatever a share raised is raised here


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """This process's threads, kept: those of its parent are not its own."""
    started = Barrier(threads)

    def alone() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread takes torch's number once, when it first needs it: let it be now
        started.wait()

    pool = ThreadPoolExecutor(threads, "diffloom-attention")
    for begun in [pool.submit(alone) for _ in range(threads)]:
        begun.result()
    torch.set_num_threads(threads)  # what torch gives to threads that begin later; this one's was not touched
    return pool
