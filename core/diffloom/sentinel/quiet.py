"""A place to look closely from, which leaves no trace in the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def quiet(modules: Iterable[nn.Module], *, device: torch.device) -> Iterator[None]:
    """While entered the modules evaluate, so that they change no buffer and drop nothing out, and compute uncompiled,
    so that hooks are called and nothing is compiled anew; afterwards each is in the mode it was in. torch's generators
    are afterwards where they were."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.compiler.set_stance("force_eager"),
    ):
        for part, _ in modes:
            part.training = False
        try:
            yield
        finally:
            for part, was_training in modes:
                part.training = was_training
