"""Samples of a contest are the pipeline's own. Oracle: `Pipeline.stream` with the same seeds."""

import pytest
import torch

import diffloom
from diffloom.inspection.contest import Contest, counted_calls
from diffloom.inspection.reference import walked_reference
from diffloom.pipeline import Pipeline

MODEL = {
    "image": {"size": 4, "channels": 1},
    "conditioners": {"label": {"type": "class_label", "classes": 2, "dropout": 0.1}},
    "backbone": "oracle",
    "schedule": {"type": "linear", "steps": 100},
    "prediction": "epsilon",
    "sampling": {"sampler": "ddim", "steps": 5, "spacing": "trailing"},
}


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return diffloom.build(MODEL, device="cpu")


@pytest.fixture
def asked() -> dict:
    return {"count": 5, "seed": 3, "guidance": 2.0, "conditions": {"label": [0, 1, 0, 1, 0]}}


@pytest.mark.parametrize("batch_size", [64, 2])
def test_what_is_drawn_is_what_sample_draws(pipeline, asked, batch_size):
    sampler = pipeline.registry.find("sampler", "ddpm")()
    run = Contest(pipeline, asked, batch_size).run(sampler, steps=7)
    *_, last = pipeline.stream(n=5, seed=3, guidance=2.0, steps=7, sampler="ddpm", label=[0, 1, 0, 1, 0])
    # alone or in parts, the float32 sums of a mixture's responsibilities are the same to rounding
    assert torch.allclose(run.samples_BD, last.following_BCHW.flatten(1), atol=1e-5)
    assert (run.steps, run.calls) == (7, 7)


def test_calls_are_counted_and_no_longer_after(pipeline):
    network = torch.nn.Identity()
    with counted_calls(network) as calls:
        network(1)
        network(2)
        assert calls() == 2
    network(3)
    assert calls() == 2


def test_the_reference_takes_no_more_steps_than_there_are_times(pipeline, asked):
    contest = Contest(pipeline, asked, 64)
    reference = walked_reference(
        contest, pipeline.document, steps=None, longest=10, registry=pipeline.registry
    )
    assert reference.run.steps == 100  # and not 16 · 10
    assert reference.spacing is None
    assert 0 < reference.uncertainty < 0.1


def test_a_spacing_without_so_long_a_grid_is_replaced(asked):
    times = {"type": "explicit", "times": [99.0, 50.0, 10.0]}
    sampling = {**MODEL["sampling"], "spacing": times, "steps": 3}
    pipeline = diffloom.build({**MODEL, "sampling": sampling}, device="cpu")
    reference = walked_reference(
        Contest(pipeline, asked, 64), pipeline.document, steps=None, longest=3, registry=pipeline.registry
    )
    assert (reference.run.steps, reference.spacing) == (48, "trailing")
