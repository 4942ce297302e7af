"""Buckets of aspect ratios. Oracles: SDXL's table of shapes; a count of visits; the shapes tried one by one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from diffloom.config.buckets import Buckets as Section
from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example, ImageInfo
from diffloom.training.bucket_order import BucketOrder
from diffloom.training.buckets import Buckets
from diffloom.training.feed import Feed
from diffloom.training.split import Split

bucketed = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(np.array)
batch_sizes = st.integers(1, 7)
seeds = st.integers(0, 2**64 - 1)
SDXL_PORTRAITS = {
    512: (1856, 1920, 1984, 2048),
    576: (1664, 1728, 1792),
    640: (1536, 1600),
    704: (1344, 1408, 1472),
    768: (1280, 1344),
    832: (1152, 1216),
    896: (1088, 1152),
    960: (1024, 1088),
    1024: (1024,),
}
"""One half of the table, by the shorter side."""


class TestShapes:
    def test_the_shapes_of_sdxl(self) -> None:
        """Podell et al. 2023, appendix I: ratios up to 4, multiples of 64, about 1024² pixels."""
        published = {(height, width) for height, widths in SDXL_PORTRAITS.items() for width in widths}
        ours = Section(multiple=64, largest_ratio=4.0).shapes((1024, 1024))
        assert set(ours) == published | {shape[::-1] for shape in published}

    @given(st.integers(1, 12), st.integers(2, 20), st.integers(2, 20), st.floats(1, 5, allow_nan=False))
    def test_laws(self, multiple: int, height: int, width: int, ratio: float) -> None:
        base = (height * multiple, width * multiple)
        section = Section(multiple=multiple, largest_ratio=ratio)
        if max(base) > ratio * min(base):
            with pytest.raises(ValueError, match="larger ratio"):
                section.shapes(base)
            return
        try:
            shapes = section.shapes(base)
        except ValueError:  # where there is no second one
            reject()
        assert base in shapes
        assert len(set(shapes)) == len(shapes) > 1
        for h, w in shapes:
            assert h % multiple == w % multiple == 0
            assert 0.9 * base[0] * base[1] <= h * w <= base[0] * base[1]
            assert max(h, w) <= ratio * min(h, w)
        assert [w / h for h, w in shapes] == sorted(w / h for h, w in shapes)

    @given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)))
    def test_a_picture_has_the_nearest_ratio(self, size: tuple[int, int]) -> None:
        shapes = Section().shapes((512, 512))
        image = ImageInfo(height=512, width=512, channels=3, shapes=shapes)

        def distance(shape: tuple[int, int]) -> float:
            return abs(math.log(shape[0] * size[1] / (shape[1] * size[0])))

        given_shape = image.shape_for(size)
        assert given_shape in shapes
        assert distance(given_shape) == pytest.approx(min(map(distance, shapes)), abs=1e-12)
        plain = ImageInfo(height=7, width=9, channels=3)
        assert plain.shape_for(size) == (7, 9)

    def test_every_example_is_sorted(self) -> None:
        image = ImageInfo(height=8, width=8, channels=1, shapes=((16, 4), (8, 8), (4, 16)))
        sizes = np.array([[10, 10], [50, 10], [8, 33], [9, 10], [50, 10]])
        found = Buckets.of(image, DataInfo(examples=5, sizes=sizes))
        assert found is not None
        assert found.bucket_N.tolist() == [1, 0, 2, 1, 0]
        assert [found.shape(index) for index in (1, 3)] == [(16, 4), (8, 8)]
        with pytest.warns(UserWarning, match=r"fewer than 2 examples are 4×16 \(1\), and"):
            found.warn_of_small(batch_size=2)

    def test_data_without_sizes_are_refused(self) -> None:
        image = ImageInfo(height=8, width=8, channels=1, shapes=((16, 4), (8, 8)))
        with pytest.raises(DataError, match="sizes of their pictures only by reading"):
            Buckets.of(image, DataInfo(examples=5))


class TestOrder:
    """The law that `BucketOrder` states."""

    @settings(deadline=None)
    @given(bucketed, batch_sizes, seeds, st.integers(1, 6))
    def test_each_batch_is_of_one_bucket_and_epochs_visit_evenly(
        self, bucket_N: np.ndarray, batch_size: int, seed: int, epochs: int
    ) -> None:
        order = BucketOrder(seed=seed, batch_size=batch_size, bucket_N=bucket_N)
        members = Counter(bucket_N.tolist())
        batches = {bucket: epochs * count // batch_size for bucket, count in members.items()}
        visited = [order.index(position) for position in range(sum(batches.values()) * batch_size)]
        by_batch = [visited[start : start + batch_size] for start in range(0, len(visited), batch_size)]
        assert all(len({bucket_N[index] for index in batch}) == 1 for batch in by_batch)
        assert Counter(bucket_N[batch[0]] for batch in by_batch) == Counter(batches)
        visits = Counter(visited)
        for bucket, count in members.items():
            each = [visits[index] for index in np.flatnonzero(bucket_N == bucket)]
            assert max(each) - min(each) <= 1
            assert max(each) <= epochs
            assert 0 <= epochs * count - sum(each) < batch_size

    @given(bucketed, batch_sizes, seeds, st.lists(st.integers(0, 300), min_size=1, max_size=20))
    def test_a_position_depends_on_nothing_else(
        self, bucket_N: np.ndarray, batch_size: int, seed: int, positions: list[int]
    ) -> None:
        """Asked for in any order, of an order that has seen others: what it is when asked for alone."""
        order = BucketOrder(seed=seed, batch_size=batch_size, bucket_N=bucket_N)
        for position in positions:
            alone = BucketOrder(seed=seed, batch_size=batch_size, bucket_N=bucket_N)
            assert order.index(position) == alone.index(position)

    def test_epochs_and_seeds_differ(self) -> None:
        bucket_N = np.repeat([0, 1, 2], 24)

        def visited(seed: int, epoch: int) -> tuple[int, ...]:
            order = BucketOrder(seed=seed, batch_size=6, bucket_N=bucket_N)
            return tuple(order.index(epoch * 72 + place) for place in range(72))

        runs = [visited(seed, epoch) for seed in range(3) for epoch in range(3)]
        assert len(set(runs)) == 9
        # And not only within the buckets: which of them comes when differs too.
        assert len({tuple(bucket_N[list(run)]) for run in runs}) == 9

    @given(bucketed, batch_sizes, st.integers(0, 100), st.integers(0, 9))
    def test_another_is_of_the_same_bucket(
        self, bucket_N: np.ndarray, batch_size: int, position: int, key: int
    ) -> None:
        order = BucketOrder(seed=0, batch_size=batch_size, bucket_N=bucket_N)
        another = order.another(position, np.random.default_rng(key))
        assert bucket_N[another] == bucket_N[order.index(position)]


class Shaped:
    """Pictures of two shapes; the value is the index."""

    shapes = ((2, 4), (4, 2))

    def __init__(self, bucket_N: np.ndarray, *, wrong_at: int | None = None) -> None:
        self.bucket_N, self.wrong_at = bucket_N, wrong_at
        self.info = DataInfo(examples=len(bucket_N))

    def __len__(self) -> int:
        return len(self.bucket_N)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        shape = (3, 3) if index == self.wrong_at else self.shapes[self.bucket_N[index]]
        return Example(np.full((1, *shape), index + rng.random(), np.float32))


def feed(batch_size: int, *, wrong_at: int | None = None, **split: int) -> Feed:
    bucket_N = np.arange(11) % 3 // 2
    return Feed(
        examples=Shaped(bucket_N, wrong_at=wrong_at),
        keys=(),
        shape=(1, 3, 3),
        seed=5,
        split=Split(batch_size=batch_size, **split),
        buckets=Buckets(Shaped.shapes, bucket_N),
    )


class TestFeed:
    @settings(deadline=None, max_examples=25)
    @given(st.integers(1, 3), st.integers(1, 5))
    def test_batches_do_not_depend_on_the_split(self, processes: int, micro_batch_size: int) -> None:
        """Six steps of five examples: passes over all processes, put together, are the batch of one process."""
        assume(processes * math.ceil(5 / (processes * micro_batch_size)) <= 5)  # others are refused by Split
        whole = [batch for (batch,) in feed(5).steps(first_step=0, last_step=6)]
        parts = [
            list(
                feed(5, process=process, processes=processes, micro_batch_size=micro_batch_size).steps(
                    first_step=0, last_step=6
                )
            )
            for process in range(processes)
        ]
        for step, batch in enumerate(whole):
            passes = [one for part in parts for one in part[step]]
            assert len({tuple(one.images_BCHW.shape[1:]) for one in passes}) == 1
            assert np.concatenate([one.images_BCHW for one in passes]).tobytes() == (
                batch.images_BCHW.numpy().tobytes()
            )

    def test_it_goes_on_anywhere(self) -> None:
        every = [batch.images_BCHW.numpy().tobytes() for batch in feed(4).batches(first_step=0, last_step=9)]
        late = [batch.images_BCHW.numpy().tobytes() for batch in feed(4).batches(first_step=6, last_step=9)]
        assert every[6:] == late

    def test_a_picture_of_another_shape_is_refused(self) -> None:
        with pytest.raises(
            DataError, match=r"example 4: its picture has shape \(1, 3, 3\) where its bucket has"
        ):
            list(feed(4, wrong_at=4).batches(first_step=0, last_step=6))
