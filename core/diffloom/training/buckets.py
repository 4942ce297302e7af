"""Examples sorted by the shape that their pictures have. Legend: N examples."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, ImageInfo


@dataclass(frozen=True, eq=False)
class Buckets:
    """Which shape the picture of each example has."""

    shapes: tuple[tuple[int, int], ...]
    """(height, width) of each bucket."""
    bucket_N: NDArray[np.int64]
    """The bucket of each example."""

    @classmethod
    def of(cls, image: ImageInfo, info: DataInfo) -> Buckets | None:
        """Every example in the bucket that the image's shapes give it; None where there is only one shape.

        Raises DataError for data that do not know the sizes of their pictures.
        """
        if not image.shapes:
            return None
        if info.sizes is None:
            raise DataError(
                "image.buckets: these data know the sizes of their pictures only by reading them, and buckets are "
                "sorted before; leave `buckets` out"
            )
        number = {shape: bucket for bucket, shape in enumerate(image.shapes)}
        different, inverse_N = np.unique(info.sizes, axis=0, return_inverse=True)
        buckets = [number[image.shape_for((int(height), int(width)))] for height, width in different]
        return cls(image.shapes, np.array(buckets, np.int64)[inverse_N.reshape(-1)])

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width) of an example's picture."""
        return self.shapes[self.bucket_N[index]]

    def warn_of_small(self, *, batch_size: int) -> None:
        """Say which buckets have fewer examples than a batch: theirs show an example several times at once."""
        counts = np.bincount(self.bucket_N, minlength=len(self.shapes))
        small = [
            f"{height}×{width} ({count})"
            for (height, width), count in zip(self.shapes, counts.tolist(), strict=True)
            if 0 < count < batch_size
        ]
        if small:
            warnings.warn(
                f"image.buckets: fewer than {batch_size} examples are {', '.join(small)}, and a batch of these holds "
                "some more than once; a smaller `largest_ratio`, a larger `multiple` or a smaller batch mends it",
                stacklevel=2,
            )
