"""Very many images: drawn in batches that fit, written while the next ones are computed, by any number of processes.

They go to a `Collection`, a folder of PNG files or an .npz archive, which says in a manifest how they are drawn.
Process i of k draws every k-th unit of images (`Share`), and nothing else is agreed on between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.drawing.batch_size import suited_batch_size
    from diffloom.drawing.collecting import Collecting, Collection, collection_at
    from diffloom.drawing.fitting import arrived, decoding, drawn, walking
    from diffloom.drawing.share import Share

__all__ = [
    "Collecting",
    "Collection",
    "Share",
    "arrived",
    "collection_at",
    "decoding",
    "drawn",
    "suited_batch_size",
    "walking",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "batch_size": ["suited_batch_size"],
        "collecting": ["Collecting", "Collection", "collection_at"],
        "fitting": ["arrived", "decoding", "drawn", "walking"],
        "share": ["Share"],
    },
)
