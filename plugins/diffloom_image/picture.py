"""A picture given as a condition, in its normal form. Legend: C channels, H height, W width."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, and which of them are to be repainted."""

    pixels_CHW: NDArray[np.float32]
    """In [-1, 1]; one channel for grey, three for RGB."""
    mask_HW: NDArray[np.bool_] | None = None
    """True where the picture is to be repainted."""
    file: str | None = None
    """Where it was read from."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        _, height, width = self.pixels_CHW.shape
        return height, width

    @property
    def called(self) -> str:
        """What messages call it."""
        return self.file or "the picture"

    def recorded(self) -> dict[str, Any]:
        """What a recipe tells of it: enough to know it again."""
        told: dict[str, Any] = {} if self.file is None else {"file": self.file}
        told |= {"size": list(self.size), "sha256": _digest(self.pixels_CHW)}
        return told if self.mask_HW is None else told | {"mask_sha256": _digest(self.mask_HW)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and self.recorded() == other.recorded()

    def __hash__(self) -> int:
        return hash(_digest(self.pixels_CHW))


def _digest(array: NDArray[Any]) -> str:
    """SHA-256, in hexadecimal, of an array's numbers."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
