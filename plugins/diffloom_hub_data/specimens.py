"""A small table for the conformance kit. Legend: N examples, C channels, H height, W width."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from diffloom_hub_data.library import datasets


def write_table(path: Path) -> None:
    """Twelve pictures with a mask, a label, captions and a size each, as Parquet."""
    library = datasets()
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (12, 40, 50, 3), dtype=np.uint8)
    features = library.Features(
        {
            "image": library.Image(),
            "mask": library.Image(),
            "label": library.ClassLabel(names=["cat", "dog", "owl"]),
            "captions": library.List(library.Value("string")),
            "size": library.List(library.Value("int64")),
        }
    )
    rows = {
        "image": [Image.fromarray(pixels_HWC) for pixels_HWC in pixels_NHWC],
        "mask": [Image.fromarray(np.uint8(255) * (pixels_HWC[..., 0] > 127)) for pixels_HWC in pixels_NHWC],
        "label": [index % 3 for index in range(12)],
        "captions": [[f"picture {index}", f"noise, row {index}"] for index in range(12)],
        "size": [[40 + index, 50] for index in range(12)],
    }
    table = library.Dataset.from_dict(rows, features=features)
    table.to_parquet(path, batch_size=5)
