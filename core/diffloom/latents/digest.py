"""Digests of pictures: equal digests mean equal pixels. Legend: C channels, H height, W width."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


def picture_digest(image_CHW: NDArray[Any]) -> bytes:
    """SHA-256 over a picture's shape and its pixels as float32, 32 bytes."""
    digest = hashlib.sha256(json.dumps(image_CHW.shape).encode())
    digest.update(np.ascontiguousarray(image_CHW, dtype="<f4").data)
    return digest.digest()


class DataDigest:
    """SHA-256 over pictures in order, made of their own digests: a stopped count goes on from those alone."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, picture: bytes) -> None:
        """Take in the next picture's digest."""
        self._digest.update(picture)

    def hexdigest(self) -> str:
        """Of all pictures so far, in hexadecimal."""
        return self._digest.hexdigest()
