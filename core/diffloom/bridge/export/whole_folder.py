"""A new folder or file, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from diffloom.checkpoint.whole_file import UNFINISHED, save_whole
from diffloom.errors import CheckpointError

METADATA = {"format": "pt"}
"""What diffusers and transformers ask of a safetensors file."""


def write_whole(
    dest: Path,
    *,
    weights: Mapping[str, Mapping[str, Tensor]],
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write the folder `dest` with safetensors and text files by their paths in it, or, by the path `.`, one file.

    Raises CheckpointError when the place is taken or cannot be written to; nothing is left behind then.
    """
    require_free(dest)
    hidden = dest.parent / f"{UNFINISHED}{dest.name}-{os.getpid()}"
    try:
        hidden.mkdir(parents=True)
        for name, text in (texts or {}).items():
            file = hidden / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        for name, tensors in weights.items():
            save_whole(
                hidden / name,
                {n: t.detach().cpu().contiguous() for n, t in tensors.items()},
                metadata=METADATA,
            )
        hidden.rename(dest)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckpointError(
            f"{dest}: cannot be written: {reason}; free some space or choose another place"
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def require_free(dest: Path) -> None:
    """Raises CheckpointError when there is something already."""
    if dest.exists():
        raise CheckpointError(f"{dest}: exists already; choose another name")


def json_text(content: Mapping[str, Any]) -> str:
    """As diffusers and transformers write it."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
