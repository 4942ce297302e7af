"""open_clip, imported when it is needed, beside a torchvision with or without its native operators."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from diffloom.errors import DiffloomError

SUPPRESSION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
"""What torchvision's two operators of non-maximum suppression take and give."""


@functools.cache
def open_clip() -> ModuleType:
    """The library. It takes seconds to import, and torch with it."""
    import_torchvision()
    return importlib.import_module("open_clip")


def import_torchvision() -> None:
    """Import torchvision, which open_clip needs for pictures only; of it, this plugin needs nothing.

    Where torchvision's compiled part is missing or of another torch, its import ends at two operators that it
    describes without having defined them. Once their signatures are defined, it goes through: all of torchvision
    that is written in Python works, and calling the operators themselves fails as it would have.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        import torch

        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # the half that was imported
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", SUPPRESSION)
        importlib.import_module("torchvision")


@functools.cache
def model_files() -> dict[str, Path]:
    """open_clip's own architectures by name, found without importing it. Raises DiffloomError when it is missing."""
    found = importlib.util.find_spec("open_clip")
    if found is None or not found.submodule_search_locations:
        raise DiffloomError("clip_text needs open_clip; install it with `pip install open_clip_torch`")
    folder = Path(next(iter(found.submodule_search_locations))) / "model_configs"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def model_file(path: Path) -> dict[str, Any]:
    """What an open_clip model file says. Raises ValueError when it is none.

    Beside weights on a hub the same stands one level deeper, under `model_cfg`.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: no JSON: {error}") from error
    model = document.get("model_cfg", document) if isinstance(document, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("text_cfg"), dict):
        raise ValueError(f"{path}: no open_clip model: it has no text_cfg")
    return model
