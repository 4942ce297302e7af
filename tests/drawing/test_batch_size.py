"""The batch that nobody asked for. Oracle: the plan of the very batch, and sizes worked out by hand."""

from __future__ import annotations

import pytest

from diffloom import Pipeline
from diffloom.drawing import batch_size
from diffloom.drawing.batch_size import BYTES_OF_A_PIXEL, SHARE, suited_batch_size
from diffloom.planning.batch import bytes_of_batches
from diffloom.planning.hollow import Hollow
from diffloom.planning.live_bytes import LiveBytes
from diffloom.planning.model import hollow_pipeline
from diffloom.planning.rehearsal import tensors_of
from diffloom.planning.walk import walked
from diffloom.request import Request
from diffloom.sampling import SamplingPlan


def order(pipe: Pipeline, count: int) -> SamplingPlan:
    return Request(count=count, conditions={"label": 3}).plan(pipe)


def planned(pipe: Pipeline, count: int) -> int:
    """What a batch of this size takes beside the weights, rehearsed itself."""
    hollow = Hollow(pipe.device)
    model = hollow_pipeline(pipe.document, hollow, registry=pipe.registry)
    live = LiveBytes(hollow.device)
    live.name("weights", tensors_of(model.module))
    memory = walked(model, count=count, conditions={"label": 3}, live=live).memory
    return sum(size for kind, size in memory.items() if kind != "weights")


def test_a_batch_takes_no_more_than_is_said(small_model: Pipeline) -> None:
    """As much at both ends, and little less between."""
    base, each = bytes_of_batches(order(small_model, 40), most=40)
    assert base + 40 * each == pytest.approx(planned(small_model, 40), rel=0.001)
    for count in (5, 20):
        taken = planned(small_model, count)
        assert 0.999 * taken <= base + count * each <= 1.5 * taken


def test_as_many_as_fit(small_model: Pipeline, monkeypatch) -> None:
    """The largest batch whose plan is within the share of what is free."""
    base, each = bytes_of_batches(order(small_model, 40), most=40)
    for fitting in (1, 5, 17):
        monkeypatch.setattr(
            batch_size, "available_bytes", lambda _, fitting=fitting: (base + (fitting + 0.5) * each) / SHARE
        )
        assert suited_batch_size(order(small_model, 40)) == fitting
    monkeypatch.setattr(batch_size, "available_bytes", lambda _: 0)
    assert suited_batch_size(order(small_model, 40)) == 1  # it is tried, at least


def test_where_pictures_are_small_nothing_is_planned(small_model: Pipeline, monkeypatch) -> None:
    monkeypatch.setattr("diffloom.planning.batch.bytes_of_batches", None)
    monkeypatch.setattr(batch_size, "available_bytes", lambda _: 64 * 8 * 8 * BYTES_OF_A_PIXEL / SHARE)
    assert suited_batch_size(order(small_model, 3)) == 3
    assert suited_batch_size(order(small_model, 1000)) == 64


def test_where_nobody_says_what_is_free_the_usual_is_taken(small_model: Pipeline, monkeypatch) -> None:
    monkeypatch.setattr(batch_size, "available_bytes", lambda _: None)
    assert suited_batch_size(order(small_model, 1000)) == 64
