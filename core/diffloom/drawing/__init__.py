"""Very many images: drawn in batches that fit, written while the next ones are computed, by any number of processes.

They go to a `Collection`, a folder of PNG files or an .npz archive, which says in a manifest how they are drawn. Process
i of k draws every k-th unit of images (`Share`), and nothing else is agreed on between them.
"""

from diffloom.drawing.collecting import Collecting, Collection, collection_at
from diffloom.drawing.share import Share

__all__ = ["Collecting", "Collection", "Share", "collection_at"]
