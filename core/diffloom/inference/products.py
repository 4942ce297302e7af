"""How NVIDIA GPUs multiply float32: exactly, or with factors rounded to TF32."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_turns = threading.RLock()
"""The setting is the whole process's: while one thread computes with it, another that wants the other waits."""


@contextmanager
def products(*, tf32: bool) -> Iterator[None]:
    """While entered, the factors of float32 products are rounded to TF32 where this says so, and only there.

    torch rounds those of convolutions by itself.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = tf32
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
