"""The processes of a run, as accelerate finds them: which of them this is, and how they agree.

Of accelerate this takes `PartialState` and its operations, and not `Accelerator`: that one is also told how to compute
by the environment of `accelerate launch` (precision, accumulation, compilation), where here the YAML alone says it.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from diffloom.device import usable_device
from diffloom.errors import DiffloomError, LostProcessError
from diffloom.training.interrupt import TrainingInterrupted
from diffloom.training.run_folder import RunFolder

T = TypeVar("T")
BROKEN = re.compile(r"gloo|nccl|connection (was )?(closed|reset|refused)|broken pipe|socket", re.IGNORECASE)
"""How torch's backends say that another process no longer answers."""


class EndedElsewhere(SystemExit):
    """Ends this process, because another one ends the run and tells why."""


class Processes:
    """The processes of one run, seen from one of them.

    Raises DiffloomError for a device that cannot be used, or that is one of several where each process needs its own.
    """

    def __init__(self, device: torch.device | str | None) -> None:
        from accelerate import PartialState  # takes a second, so only where training begins

        launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
        if launched and device is not None and ":" in str(device):
            raise DiffloomError(
                f"device {str(device)!r}: each of several processes has a device of its own; say cuda or cpu"
            )
        place = usable_device(device)
        self._made_state = PartialState._shared_state == {}
        was_connected = torch.distributed.is_initialized()
        both = {"backend": "cpu:gloo,cuda:nccl"} if launched and place.type == "cuda" else {}
        state = PartialState(cpu=place.type == "cpu", **both)
        if not was_connected and torch.distributed.is_initialized():
            atexit.register(_leave)
        self.count: int = state.num_processes
        """How many there are."""
        self.index: int = state.process_index
        """This one's number."""
        self.device: torch.device = place
        """Where this one computes."""
        self._agreeing_on = torch.device("cpu")  # so that nobody waits for a GPU
        if self.count > 1:
            if state.device.type != place.type:
                raise DiffloomError(
                    f"device {place.type!r}: these processes were begun on {state.device.type!r}; say that"
                )
            self.device = state.device if place.type == "cuda" else place
            if "gloo" not in torch.distributed.get_backend_config():
                self._agreeing_on = self.device

    @property
    def is_main(self) -> bool:
        """Whether this one writes the run folder and tells of the run."""
        return self.index == 0

    def gathered(self, tensor: Tensor) -> Tensor:
        """Everyone's tensors of one shape, joined along the first axis in the order of the processes."""
        from accelerate.utils import gather

        found: Tensor = gather(tensor) if self.count > 1 else tensor
        return found

    def numbers(self, *own: int) -> list[list[int]]:
        """Everyone's numbers, by process. Does not wait for a GPU."""
        from accelerate.utils import reduce

        if self.count == 1:
            return [list(own)]
        shown = torch.zeros(self.count, len(own), dtype=torch.int64, device=self._agreeing_on)
        shown[self.index] = torch.tensor(own)
        everyone: list[list[int]] = reduce(shown, reduction="sum").tolist()
        return everyone

    def listed(self, own: list[str]) -> list[str]:
        """Everyone's lines, in the order of the processes."""
        from accelerate.utils import gather_object

        everyone: list[str] = gather_object(own) if self.count > 1 else own
        return list(everyone)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is done inside succeeds everywhere or nowhere.

        Where it fails, the first process that it fails in raises its error, and the others EndedElsewhere. What is
        inside must not talk to other processes. All enter it, even where only one has something to do.
        """
        if self.count == 1:
            yield
            return
        failure: Exception | TrainingInterrupted | None = None
        try:
            yield
        except (Exception, TrainingInterrupted) as error:
            failure = error
        own = 0 if failure is None else getattr(failure, "exit_code", 1)
        for process, (code,) in enumerate(self.numbers(own)):
            if code and process == self.index and failure is not None:
                raise failure
            if code:
                raise EndedElsewhere(code)

    def main_first(self, compute: Callable[[], T]) -> T:
        """What each process computes: the first one before the others, which find what it has fetched or made."""
        found: list[T] = []
        for turn in (True, False):
            with self.together():
                if self.is_main is turn:
                    found.append(compute())
        return found[0]

    @contextmanager
    def closed_after(self, run: RunFolder) -> Iterator[None]:
        """While entered, the processes are one run, and a process that is gone is a LostProcessError.

        accelerate is left as it was, so that its user goes on with settings of their own. What connects the processes
        stays: a launcher lets them meet once.
        """
        from accelerate import PartialState

        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or not BROKEN.search(str(error)):
                raise
            atexit.unregister(_leave)  # it would wait for the one that is gone
            if threading.current_thread() is threading.main_thread():
                # Its launcher's, who ends this one too: it has yet to say what stands.
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            raise LostProcessError(
                f"another of this run's {self.count} processes is gone, and this one cannot go on alone; {run.standing}"
            ) from error
        finally:
            if self._made_state:
                PartialState._reset_state()


def _leave() -> None:
    """At the end of a process: NCCL wants to be told."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
