"""As many rows at once as memory holds. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from diffloom.errors import DiffloomError

if TYPE_CHECKING:
    from diffloom.process import Step
    from diffloom.sampling import SamplingPlan

W = TypeVar("W")
R = TypeVar("R")
logger = logging.getLogger("diffloom")
REFUSALS = ("can't allocate memory", "out of memory", "bad_alloc", "Cannot allocate memory")
"""How the libraries under torch say it where they have no error of their own for it: the allocator of the CPU
(`DefaultCPUAllocator: can't allocate memory`), CUDA's, C++'s and the system's."""


class Fitting(Generic[W]):
    """Does work on rows, as many at once as it may, and half as many from then on where memory does not suffice."""

    def __init__(
        self,
        what: str,
        *,
        most: int | None,
        rows: Callable[[W], int],
        split: Callable[[W, int], Iterable[W]],
    ) -> None:
        self._what, self._rows, self._split = what, rows, split
        self.most = most
        """Rows at once; None for all there are."""
        self._refused: tuple[int, str] | None = None

    def over(self, whole: W, compute: Callable[[W], R]) -> Iterator[tuple[W, R]]:
        """The parts of the work, in order, each with its result.

        Raises DiffloomError, with what can be done, where one row alone is too much.
        """
        if self.most is not None and self._rows(whole) > self.most:
            for part in self._split(whole, self.most):
                yield from self.over(part, compute)
            return
        try:
            result = compute(whole)
        except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
            if not is_out_of_memory(error):
                raise
            told = str(error).splitlines()[0]
        else:
            self._tell()
            yield whole, result
            return
        # Only here, where the error is gone, are the tensors gone that it held.
        self._halve(self._rows(whole), told)
        yield from self.over(whole, compute)

    def _halve(self, rows: int, told: str) -> None:
        if rows == 1:
            raise DiffloomError(
                f"there is not enough memory for {self._what} a single image ({told}); decode in tiles "
                "(space.tile, for an autoencoder), compute in sampling.precision=bf16, move parts that wait off the "
                "device (sampling.offload), take --device cpu, or free some memory"
            )
        self._refused = self._refused or (rows, told)
        self.most = rows // 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _tell(self) -> None:
        """Say once which number of rows was found, however many were tried."""
        if self._refused is not None:
            rows, told = self._refused
            self._refused = None
            logger.warning(
                "memory does not suffice for %s %d images at once (%s): %d at once from here on; the images stay the "
                "same",
                self._what,
                rows,
                told,
                self.most,
            )


def drawn(
    plan: SamplingPlan,
    *,
    walking: Fitting[SamplingPlan],
    decoding: Fitting[Tensor],
    on_step: Callable[[Step], object] | None = None,
) -> Iterator[tuple[SamplingPlan, Tensor]]:
    """The plan's samples, part by part: pictures (B, C, H, W) in [-1, 1] on the CPU."""

    def arrival(part: SamplingPlan) -> Tensor:
        return arrived(part.stream(), on_step)

    for part, x_BCHW in walking.over(plan, arrival):
        decoded = decoding.over(x_BCHW, lambda rows: plan.pipeline.decode(rows).cpu())
        yield part, torch.cat([pictures_BCHW for _, pictures_BCHW in decoded])


def walking(most: int | None) -> Fitting[SamplingPlan]:
    """For drawing samples of a plan."""
    return Fitting(
        "drawing", most=most, rows=lambda plan: len(plan.keys), split=lambda plan, size: plan.batches(size)
    )


def decoding() -> Fitting[Tensor]:
    """For decoding points of the space."""
    return Fitting("decoding", most=None, rows=len, split=lambda x_BCHW, size: x_BCHW.split(size))


def arrived(steps: Iterator[Step], on_step: Callable[[Step], object] | None = None) -> Tensor:
    """Where a walk ends, (B, C, H, W), each step told on the way."""
    for step in steps:
        if on_step is not None:
            on_step(step)
    return step.following_BCHW


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in REFUSALS)
