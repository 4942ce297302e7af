"""How NVIDIA GPUs multiply float32: exactly, or with factors rounded to TF32."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_wanted: list[bool] = []
"""What those want who are within, the latest last."""
_otherwise: list[tuple[bool, bool]] = []
"""What the process had set before the first of them."""


@contextmanager
def products(*, tf32: bool) -> Iterator[None]:
    """While entered, the factors of float32 products are rounded to TF32 where this says so, and only there.

    torch rounds those of convolutions by itself. The setting is the whole process's: threads that want the same have
    it as long as any of them is within; of those that differ the latest has its way.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    with _lock:
        if not _wanted:
            _otherwise[:] = [(matmul.allow_tf32, cudnn.allow_tf32)]
        _wanted.append(tf32)
        matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        with _lock:
            del _wanted[len(_wanted) - 1 - _wanted[::-1].index(tf32)]
            left = (_wanted[-1], _wanted[-1]) if _wanted else _otherwise[0]
            matmul.allow_tf32, cudnn.allow_tf32 = left
