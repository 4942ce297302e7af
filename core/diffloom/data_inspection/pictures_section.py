"""What the pictures are and what the model sees of them. Sizes and shapes are (height, width).

Legend: N examples, C channels, H height, W width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from diffloom.data_inspection.figures import bars, listed, share
from diffloom.data_inspection.glance import Glance
from diffloom.inspection.page import Section
from diffloom.kinds import DataInfo, ImageInfo
from diffloom.picture import Frame

MATTERS = 0.25
"""The share of a picture from which on it counts as much that is cropped away."""


def pictures_section(info: DataInfo, glance: Glance, *, image: ImageInfo) -> Section:
    """Sizes as found, what becomes of them, and the values that were read."""
    section = Section("Pictures")
    section.add("as found", *_found(info, glance))
    model = f"{image.height}×{image.width}, {image.channels} channel{'s' if image.channels > 1 else ''}"
    section.add("as shown", f"{model}; of several shapes: image.buckets" if image.shapes else model)
    if info.framing is not None:
        section.add(
            "framing", f"resize: {info.framing.resize}, crop: {info.framing.crop}, flip: {info.framing.flip}"
        )
    if info.framing is not None and info.sizes is not None:
        frames = [
            (info.framing.center(size, shape=image.shape_for(size)), count)
            for size, count in _counted(info.sizes)
        ]
        section.add("cropped away", *_cropped(frames))
        section.add("enlarged", _enlarged(frames))
    if image.shapes and info.sizes is not None:
        section.add("buckets", *_buckets(info.sizes, image))
    section.add("values", *_values(glance))
    return section


def _counted(sizes_N2: np.ndarray) -> list[tuple[tuple[int, int], int]]:
    """Every different size, and how many pictures have it."""
    different, counts = np.unique(sizes_N2, axis=0, return_counts=True)
    return [
        ((height, width), count)
        for (height, width), count in zip(different.tolist(), counts.tolist(), strict=True)
    ]


def _found(info: DataInfo, glance: Glance) -> Iterator[str]:
    if info.sizes is None:
        shapes = Counter(seen.example.image_CHW.shape for seen in glance.seen)
        yield "their sizes are known only by reading; shapes of those that were read:"
        yield from listed([f"{shape}: {count:,}" for shape, count in shapes.most_common()])
        return
    sizes = Counter(dict(_counted(info.sizes)))
    ratios = info.sizes[:, 1] / info.sizes[:, 0]
    low, middle, high = np.quantile(ratios, [0, 0.5, 1])
    yield f"{len(sizes):,} different sizes; width to height {low:.3g} to {high:.3g}, {middle:.3g} in the middle"
    yield from listed(bars((f"{height}×{width}", count) for (height, width), count in sizes.most_common()))


def _cropped(frames: list[tuple[Frame, int]]) -> Iterator[str]:
    counts = np.array([count for _, count in frames])
    lost = 1 - np.array([frame.kept for frame, _ in frames])
    mean, most = float(lost @ counts / counts.sum()), float(lost.max())
    yield f"{mean:.1%} of a picture's area on the average, {most:.1%} at most".replace("%", " %")
    if (much := int(counts[lost > MATTERS].sum())) > 0:
        yield f"{share(much, int(counts.sum()))} lose more than a quarter"


def _enlarged(frames: list[tuple[Frame, int]]) -> str:
    total = sum(count for _, count in frames)
    small = sum(count for frame, count in frames if frame.enlargement > 1)
    if not small:
        return "none"
    most = max(frame.enlargement for frame, _ in frames)
    return f"{share(small, total)}, up to {most:.3g} times, which blurs what is learned"


def _buckets(sizes_N2: np.ndarray, image: ImageInfo) -> list[str]:
    counts = Counter[tuple[int, int]]()
    for size, count in _counted(sizes_N2):
        counts[image.shape_for(size)] += count
    return bars((f"{height}×{width}", counts[height, width]) for height, width in image.shapes)


def _values(glance: Glance) -> Iterator[str]:
    """Of what was read: the range, and each channel's mean and deviation."""
    if not glance.seen:
        return
    pictures = [seen.example.image_CHW for seen in glance.seen]
    low, high = min(float(x.min()) for x in pictures), max(float(x.max()) for x in pictures)
    yield f"{low:.3g} to {high:.3g}"
    for channel in range(pictures[0].shape[0]):
        values = np.concatenate([x[channel].ravel() for x in pictures]).astype(np.float64)
        yield f"channel {channel}: mean {values.mean():.3f}, standard deviation {values.std():.3f}"
