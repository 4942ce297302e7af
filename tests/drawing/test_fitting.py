"""Batches that are too large. Oracle: the same samples drawn where memory suffices.

Memory is refused with torch's own errors, as its allocators raise them: that of the CPU is asked for more than any
machine has.
"""

from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffloom import Pipeline
from diffloom.drawing.fitting import Fitting, is_out_of_memory
from diffloom.errors import DiffloomError

SAME = {"atol": 1e-5, "rtol": 0.0}  # float32 convolutions sum in another order in another batch size


def exhausted() -> None:
    """Raises what torch raises on the CPU."""
    torch.empty(2**60, dtype=torch.uint8)


def numbers(most: int | None) -> Fitting[list[int]]:
    def split(rows: list[int], size: int) -> list[list[int]]:
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    return Fitting("drawing", most=most, rows=len, split=split)


@settings(max_examples=25)
@given(count=st.integers(1, 40), limit=st.integers(1, 40), most=st.none() | st.integers(1, 40))
def test_everything_is_done_once_in_order_in_parts_that_fit(count: int, limit: int, most: int | None) -> None:
    def compute(rows: list[int]) -> int:
        if len(rows) > limit:
            exhausted()
        return sum(rows)

    fitting = numbers(most)
    parts = list(fitting.over(list(range(count)), compute))
    assert [row for rows, _ in parts for row in rows] == list(range(count))
    assert all(total == sum(rows) for rows, total in parts)
    assert all(len(rows) <= min(limit, most or count) for rows, _ in parts)


def test_what_was_too_much_once_is_not_tried_again(caplog) -> None:
    tried: list[int] = []

    def compute(rows: list[int]) -> None:
        tried.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    fitting = numbers(16)
    with caplog.at_level(logging.WARNING, "diffloom"):
        list(fitting.over(list(range(16)), compute))
        list(fitting.over(list(range(6)), compute))
    assert tried == [16, 8, 4, *[2] * 8, *[2] * 3]
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("memory does not suffice for drawing 16 images at once (CUDA out of memory.")
    assert "): 2 at once from here on" in told


def test_the_tensors_of_a_failed_attempt_are_gone_before_the_next() -> None:
    import weakref

    held: list[weakref.ref[Tensor]] = []

    def compute(rows: list[int]) -> None:
        assert not any(one() is not None for one in held)
        large = torch.zeros(len(rows))
        held.append(weakref.ref(large))
        if len(rows) > 1:
            exhausted()

    list(numbers(None).over([1, 2, 3, 4], compute))
    assert len(held) == 3 + 3  # 4, 2, then one by one


@pytest.mark.parametrize("part", ["walk", "decoding"])
def test_images_stay_the_same(small_model: Pipeline, monkeypatch, caplog, part: str) -> None:
    asked = {"label": [1, 2, 3, 4, 5], "seed": 3, "steps": 2}
    expected = small_model.sample(**asked).tensor
    if part == "walk":

        def refuse(network: torch.nn.Module, args: tuple[Tensor, ...]) -> None:
            if len(args[0]) > 2:
                exhausted()

        handle = small_model.ready(small_model.document.sampling).module.register_forward_pre_hook(refuse)
    else:
        decode = Pipeline.decode

        def limited(self: Pipeline, x_BCHW: Tensor) -> Tensor:
            if len(x_BCHW) > 2:
                exhausted()
            return decode(self, x_BCHW)

        monkeypatch.setattr(Pipeline, "decode", limited)
    try:
        drawn = small_model.sample(**asked)
    finally:
        if part == "walk":
            handle.remove()
    torch.testing.assert_close(drawn.tensor, expected, **SAME)
    assert len(drawn.recipe["seeds"]) == 5
    assert "memory does not suffice" in caplog.text


def test_one_image_that_is_too_much_names_the_remedies(small_model: Pipeline, monkeypatch) -> None:
    monkeypatch.setattr(Pipeline, "decode", lambda self, x_BCHW: exhausted())
    with pytest.raises(DiffloomError, match=r"decoding a single image .*tile.*precision.*offload"):
        small_model.sample(label=[1, 2, 3], steps=1)


def test_other_failures_are_not_taken_for_it(small_model: Pipeline) -> None:
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(numbers(4).over([1, 2], lambda rows: (_ for _ in ()).throw(RuntimeError("shapes do not match"))))
