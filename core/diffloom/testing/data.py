"""Laws of the kind `data`. Legend: C channels, H height, W width."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import islice

import numpy as np

from diffloom.errors import DataError
from diffloom.kinds import Data, Example, Examples, ImageInfo, Stream
from diffloom.process import keyed_generator
from diffloom.testing.checks import BrokenLawError, Check, expect
from diffloom.training.beginning import Beginning

IMAGES = [
    ImageInfo(height=side, width=side, channels=channels)
    for side in (8, 16, 28, 32, 64)
    for channels in (1, 3)
]
FEW = 50
"""Records of a shard that are looked at."""


def opens(component: Data) -> None:
    """It fits some picture; what it refuses, it refuses by DataError."""
    image, source = _built(component)
    examples = _examples(source)
    expect(len(examples) > 0, "at least one example", len(examples))
    told = examples.info.examples
    if isinstance(source, Stream):
        expect(told is None or told > 0, "info to say how many examples there are, or None", told)
    else:
        expect(told == len(examples), f"info to say {len(examples)} examples", told)
    refused = ImageInfo(height=image.height, width=image.width, channels=image.channels + 4)
    try:
        again = _examples(component.build(image=refused))
    except DataError:
        return
    came = again.example(0, _rng(0)).image_CHW.shape
    expect(came == refused.shape, f"a picture of {refused.shape}, or a DataError", came)


def gives_pictures(component: Data) -> None:
    """Every example is float32 of the picture's shape with values in [-1, 1], and not all are one."""
    image, examples = _opened(component)
    for index in _indices(examples):
        picture = examples.example(index, _rng(index)).image_CHW
        expect(isinstance(picture, np.ndarray), "a numpy array", type(picture).__name__)
        expect(picture.dtype == np.float32, "float32", picture.dtype)
        expect(picture.shape == image.shape, f"the shape {image.shape}", picture.shape)
        low, high = float(picture.min()), float(picture.max())
        expect(-1 <= low <= high <= 1, f"values of example {index} in [-1, 1]", (low, high))
    first, *others = [examples.example(i, _rng(i)).image_CHW for i in _indices(examples)]
    differ = not others or any(not np.array_equal(first, other) for other in others)
    expect(differ, "pictures that differ", "one picture for all")


def depends_on_index_and_rng_alone(component: Data) -> None:
    """The same example and the same key give the same picture, in any order, whatever was done to the first."""
    _, examples = _opened(component)
    indices = _indices(examples)
    first = {i: examples.example(i, _rng(i)) for i in indices}
    kept = {i: (example.image_CHW.copy(), dict(example.conditions)) for i, example in first.items()}
    for example in first.values():
        if example.image_CHW.flags.writeable:
            example.image_CHW[...] = 0.123
    reopened = _opened(component)[1]
    for source in (examples, reopened):
        for i in reversed(indices):
            again = source.example(i, _rng(i))
            same = np.array_equal(again.image_CHW, kept[i][0]) and again.conditions == kept[i][1]
            expect(same, f"example {i} to be the same again", "another")


def is_random_unless_it_says_otherwise(component: Data) -> None:
    """Data that say `deterministic` give the same picture and conditions whatever the generator."""
    if component.deterministic:
        _, examples = _opened(component)
        for index in _indices(examples):
            one = examples.example(index, _rng(index))
            for key in range(1, 9):  # a flip that comes half of the time is missed once in 256
                other = examples.example(index, _rng(index + 1000 * key))
                same = np.array_equal(one.image_CHW, other.image_CHW) and one.conditions == other.conditions
                expect(same, f"example {index} to be the same with any generator", "another")


def names_its_conditions(component: Data) -> None:
    """Every example has the same conditions; labels lie within the classes that info names."""
    _, examples = _opened(component)
    keys = examples.example(0, _rng(0)).conditions.keys()
    for index in _indices(examples):
        conditions = examples.example(index, _rng(index)).conditions
        expect(conditions.keys() == keys, f"the conditions {sorted(keys)}", sorted(conditions))
        for key, names in examples.info.classes.items():
            expect(key in conditions, f"the condition {key!r}, whose classes info names", sorted(conditions))
            _expect_label(key, conditions[key], names)


def gives_the_same_records_from_any_on(component: Data) -> None:
    """A stream's shard can be entered at any record, in any process, and gives what it gives from its beginning."""
    _, stream = _built(component)
    if not isinstance(stream, Stream):
        return
    expect(stream.shards > 0, "at least one shard", stream.shards)
    expect(
        stream.shuffle_buffer > 0, "room for at least one record in the shuffle buffer", stream.shuffle_buffer
    )
    elsewhere: Stream = pickle.loads(pickle.dumps(stream))
    for shard in range(min(stream.shards, 3)):
        whole = [_decoded(stream, record) for record in islice(stream.records(shard, first=0), FEW)]
        for first in sorted({0, 1, len(whole) // 2, len(whole)}):
            read = islice(elsewhere.records(shard, first=first), len(whole) - first)
            rest = [_decoded(elsewhere, pickle.loads(pickle.dumps(record))) for record in read]
            same = len(rest) == len(whole) - first and all(
                np.array_equal(one.image_CHW, other.image_CHW) and one.conditions == other.conditions
                for one, other in zip(whole[first:], rest, strict=True)
            )
            expect(same, f"the records of shard {shard} from number {first} on to be the same", "others")
        beyond = next(iter(stream.records(shard, first=10**9)), None)
        expect(beyond is None, f"no record of shard {shard} behind its last", beyond)


def _decoded(stream: Stream, record: object) -> Example:
    return stream.example(record, _rng(0))


def tells_the_truth(component: Data) -> None:
    """What info tells of every example is so: its label, and the shape that its size leads to among several."""
    image, examples = _opened(component)
    info = examples.info
    for key, ids in info.labels.items():
        expect(key in info.classes, f"info to name the classes of {key!r}", sorted(info.classes))
        expect(len(ids) == len(examples), f"a label of {key!r} for each example", len(ids))
        for index in _indices(examples):
            label, names = examples.example(index, _rng(index)).conditions[key], info.classes[key]
            told = int(ids[index])
            expect(label in (told, names[told]), f"example {index} to have the label {told}", repr(label))
    if info.sizes is None:
        return
    expect(info.sizes.shape == (len(examples), 2), "height and width for each example", info.sizes.shape)
    height, width = image.height, image.width
    several = replace(image, shapes=((2 * height, width // 2), (height, width), (height // 2, 2 * width)))
    try:
        sorted_examples = _examples(component.build(image=several))
    except DataError:
        return  # pictures too small for one of these, where nothing is scaled
    for index in _indices(sorted_examples):
        wanted = several.shape_for((int(info.sizes[index, 0]), int(info.sizes[index, 1])))
        came = sorted_examples.example(index, _rng(index)).image_CHW.shape[1:]
        expect(came == wanted, f"example {index} in the shape of its bucket, {wanted}", came)


def _expect_label(key: str, label: object, names: tuple[str, ...]) -> None:
    known = label in names if isinstance(label, str) else isinstance(label, int) and 0 <= label < len(names)
    expect(known, f"{key} to be an id below {len(names)} or one of {names[:5]}", repr(label))


def _opened(component: Data) -> tuple[ImageInfo, Examples]:
    """The first picture it fits, and its examples; of a stream those that come first."""
    image, source = _built(component)
    return image, _examples(source)


def _examples(source: Examples | Stream) -> Examples:
    return Beginning(source) if isinstance(source, Stream) else source


def _built(component: Data) -> tuple[ImageInfo, Examples | Stream]:
    """The first picture it fits, and what it builds for that."""
    reasons = []
    for image in IMAGES:
        try:
            return image, component.build(image=image)
        except DataError as error:
            reasons.append(f"{image.shape}: {error}")
    raise BrokenLawError(
        f"expected it to fit one of {len(IMAGES)} pictures; it refuses all, at last {reasons[-1]}"
    )


def _indices(examples: Examples) -> list[int]:
    """The first, the last, and some between."""
    last = len(examples) - 1
    return sorted({0, last, last // 2, last // 3, min(1, last), min(2, last)})


def _rng(index: int) -> np.random.Generator:
    return keyed_generator(3, index, 0, "conformance")


CHECKS: tuple[Check, ...] = (
    opens,
    gives_pictures,
    depends_on_index_and_rng_alone,
    is_random_unless_it_says_otherwise,
    names_its_conditions,
    tells_the_truth,
    gives_the_same_records_from_any_on,
)
