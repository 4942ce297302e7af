"""torch.compile, block by block: a few graphs for a whole network, kept on disk from one process to the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch
from torch import nn

Backend = str | Callable[..., Any]
"""What torch.compile takes for one."""
COMPILATIONS = 8
"""Of one block, at most: training and sampling, each in a few shapes."""
PLACE = "TORCHINDUCTOR_CACHE_DIR"
"""torch's variable for where it keeps what it has compiled; by itself a folder that a restart empties."""


def compile_blocks(
    found: Sequence[nn.Module], *, backend: Backend = "inductor", mode: str | None = None
) -> str:
    """Compile modules in place, each when it is first called; returns what to tell. `mode` is torch.compile's.

    Where this machine cannot compile, nothing is, and the line says why: it begins with `warning:`. Give the parts
    that a network repeats (`diffloom.nn.blocks`), of which there is at least one, rather than the network: those of one
    class and shape share a graph.
    """
    keep_compiled()
    device = next((weight.device for module in found for weight in module.parameters()), torch.device("cpu"))
    if (fault := compiler_fault(device, backend)) is not None:
        return f"warning: this machine cannot compile, so nothing is compiled: {fault}"
    # Blocks of one class share their graphs, one for each shape of the weights. torch gives a class up beyond a number
    # of graphs that is meant for one function, and has no other place to say so in all the releases we support.
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, COMPILATIONS * len(found))
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, COMPILATIONS * len(found))
    for module in found:
        module.compile(backend=backend, mode=mode)
    return f"compiling: {len(found)} blocks, each shape when it is first met"


def compiler_fault(device: torch.device, backend: Backend = "inductor") -> str | None:
    """Why torch.compile does not work for a device on this machine; None where it does. Found out by trying."""
    compiled = torch.compile(lambda x: x * 2 + 1, backend=backend)
    try:
        compiled(torch.ones(8, device=device))
    except Exception as error:  # whatever a missing compiler, Triton, header or disk leads to
        cause = getattr(error, "inner_exception", error)  # where torch says who raised what
        return next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    return None


@contextmanager
def told_compiling(told: Callable[[bool], object]) -> Iterator[None]:
    """While entered, `told(True)` is called where torch begins to compile something, `told(False)` where it has."""
    from torch._dynamo.callback import callback_handler  # public nowhere; takes a second to import

    def begins(*_: object) -> None:  # torch before 2.8 says nothing, and later ones what it is
        told(True)

    def ends(*_: object) -> None:
        told(False)

    callback_handler.register_start_callback(begins)
    callback_handler.register_end_callback(ends)
    try:
        yield
    finally:
        callback_handler.remove_start_callback(begins)
        callback_handler.remove_end_callback(ends)


def keep_compiled() -> None:
    """Have torch keep what it compiles in the user's cache folder, so that the next process need not compile it.

    Leaves things as they are where the user names a place (`TORCHINDUCTOR_CACHE_DIR`), and where that folder cannot be
    written.
    """
    named = os.environ.get(PLACE)
    if named is not None and not _is_temporary(Path(named)):
        return
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "diffloom" / "compiled"
    with suppress(OSError):  # then torch's own place will do
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            os.environ[PLACE] = str(folder)


def _is_temporary(place: Path) -> bool:
    """Whether torch has set the variable itself, as it does when it is first imported."""
    return place.parent == Path(gettempdir()).absolute() and place.name.startswith("torchinductor_")
