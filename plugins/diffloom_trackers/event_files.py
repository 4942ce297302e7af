"""A run told in TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL.Image import Image

from diffloom import RunInfo
from diffloom_trackers.hyperparameters import beginning, ending
from diffloom_trackers.library import imported
from diffloom_trackers.parameters import parameters
from diffloom_trackers.recorded import tell_recorded


class EventFiles:
    """Figures become scalars, pictures images, findings texts, the configuration hyperparameters.

    Each is on its way to the disk when a call returns. A resumed run has a file of its own, which begins by telling
    readers to forget whatever earlier files say of the steps that are taken again.
    """

    def __init__(self, run: RunInfo) -> None:
        library = imported("torch.utils.tensorboard", extra="tensorboard")
        folder = run.folder / "tensorboard"
        begun = folder.is_dir()
        self._writer = library.SummaryWriter(str(folder), purge_step=run.first_step + 1)
        indented = "".join(f"    {line}\n" for line in run.config.splitlines())  # a code block of Markdown
        self._writer.add_text("config", indented)
        self._writer.file_writer.add_summary(beginning(run.folder.name, parameters(run.config)))
        tell_recorded(self, run, after=run.first_step if begun else 0)
        self._writer.flush()

    def figures(self, step: int, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, step: int, name: str, picture: Image) -> None:
        self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")
        self._writer.flush()

    def finding(self, step: int, title: str, text: str) -> None:
        self._writer.add_text(f"findings/{title}", text, step)
        self._writer.flush()

    def close(self, reason: str) -> None:
        self._writer.file_writer.add_summary(ending(reason))
        self._writer.add_text("run", reason)
        self._writer.close()
