"""Pictures of curves, by matplotlib, which the extra `plots` brings."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from diffloom.errors import DiffloomError
from diffloom.pictures import save_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110


def require_plots() -> None:
    """Raises DiffloomError, with the command that mends it, where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise DiffloomError(
            "drawing needs matplotlib, which is not installed; `pip install 'diffloom[plots]'` brings it"
        ) from error


def new_figure(*, width_inches: float, height_inches: float) -> Figure:
    """An empty figure, whose panels make room for their own labels."""
    require_plots()
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write it as a PNG, whole or not at all. Raises DiffloomError where that fails."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    save_png(Image.open(drawn).convert("RGB"), path)
