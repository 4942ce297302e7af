"""Where the work is done."""

from __future__ import annotations

import torch

from diffloom.errors import DiffloomError


def usable_device(name: torch.device | str | None) -> torch.device:
    """The device of that name; without one, CUDA where there is any, else the CPU.

    Raises DiffloomError when this machine has no such device.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises each of these
        told = str(error).splitlines()[0]
        raise DiffloomError(f"device {str(name)!r} cannot be used here: {told}; try --device cpu") from error
