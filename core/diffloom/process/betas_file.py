"""One-step variances from a file: JSON, text, numpy or safetensors. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffloom.errors import DiffloomError

if TYPE_CHECKING:
    import numpy as np

READ = (".json", ".txt", ".npy", ".safetensors")


def read_betas(path: Path) -> tuple[float, ...]:
    """The numbers of a file: a JSON list, numbers between blanks or lines, or the one array that it holds.

    Raises DiffloomError for a file that is none of these.
    """
    if path.suffix not in READ:
        raise DiffloomError(f"{path}: β are read from {', '.join(READ)} files")
    try:
        return tuple(float(beta) for beta in _numbers(path))
    except FileNotFoundError:
        raise DiffloomError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise DiffloomError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise DiffloomError(f"{path}: is no list of numbers: {error}") from error


def _numbers(path: Path) -> list[float] | list[str]:
    if path.suffix == ".txt":
        return path.read_text(encoding="utf-8").split()
    if path.suffix == ".json":
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, list):
            raise ValueError("its JSON is not a list")
        return values
    import numpy as np

    array: np.ndarray[Any, Any] = (
        np.load(path, allow_pickle=False) if path.suffix == ".npy" else _only_tensor(path)
    )
    if array.ndim != 1:
        raise ValueError(f"it has {array.ndim} dimensions")
    return [float(value) for value in array.astype(np.float64)]


def _only_tensor(path: Path) -> np.ndarray[Any, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if len(tensors) != 1:
        raise ValueError(f"it has {len(tensors)} tensors, and β is one")
    return next(iter(tensors.values()))
