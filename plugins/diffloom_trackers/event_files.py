"""A run told in TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL.Image import Image

from diffloom.errors import DiffloomError


class EventFiles:
    """Figures become scalars, pictures images, findings texts."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise DiffloomError(
                "train.trackers: tensorboard is not installed; install it with `pip install 'diffloom[tensorboard]'`, "
                "or remove the tracker"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1 if first_step else None)

    def figures(self, step: int, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, picture: Image) -> None:
        self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def finding(self, step: int, title: str, text: str) -> None:
        self._writer.add_text(title, text, step)

    def close(self, reason: str) -> None:
        self._writer.add_text("run", reason)
        self._writer.close()
