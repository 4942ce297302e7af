"""A sample that is interrupted leaves nothing behind. Oracle: the same samples, drawn before, bit for bit."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import nn

from diffloom import Pipeline
from diffloom.inference.snapshot import Snapshot
from diffloom.process import Step

WAYS: dict[str, dict[str, Any]] = {
    "remembers": {"sampler": "unipc"},
    "draws ahead": {"sampler": "ddpm"},
    "draws paths ahead": {"sampler": "dpmpp_sde"},
    "changes the network": {"guidance": {"type": "perturbed_attention", "scale": 2.0, "layers": ["*"]}},
    "remembers features": {"caching": {"type": "deep_features", "every": 2}},
}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ArithmeticError])
@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("where", ["in a callback", "in the network"])
def test_an_interrupted_sample_leaves_nothing_behind(
    small_model: Pipeline, way: str, where: str, error: type[BaseException]
) -> None:
    asked = {"label": [3, 7], "steps": 5, "seed": 1, **WAYS[way]}
    wanted = small_model.sample(**asked).tensor
    before, calls = threading.active_count(), [0]

    def interrupt(*_: object) -> None:
        calls[0] += 1
        if calls[0] == 3:
            raise error

    if where == "in a callback":
        with pytest.raises(error):
            small_model.sample(**asked, batch_size=2, on_step=interrupt)
    else:
        ready = small_model.ready(small_model.document.sampling).module
        hook = ready.get_submodule("trunk.up").get_submodule("1").register_forward_pre_hook(interrupt)
        with pytest.raises(error):
            small_model.sample(**asked, batch_size=2)
        hook.remove()
    assert threading.active_count() == before
    assert small_model._ready._users == 0
    assert torch.equal(small_model.sample(**asked).tensor, wanted)


def test_a_stream_that_is_dropped_ends(small_model: Pipeline) -> None:
    before = threading.active_count()
    steps = small_model.stream(label=3, steps=5, sampler="ddpm")
    first = next(steps)
    assert isinstance(first, Step)
    del steps
    assert threading.active_count() == before
    assert small_model._ready._users == 0


def test_a_walk_may_end_while_the_next_is_made_ready(
    small_model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the garbage collector ends one whose error somebody has kept: at any moment, in any thread."""
    steps = small_model.stream(label=3, steps=5)
    next(steps)
    is_of = Snapshot.is_of

    def collecting(self: Snapshot, network: nn.Module) -> bool:
        steps.close()  # type: ignore[attr-defined]  # what a generator has
        return is_of(self, network)

    monkeypatch.setattr(Snapshot, "is_of", collecting)
    next_walk = threading.Thread(target=lambda: small_model.sample(label=3, steps=1), daemon=True)
    next_walk.start()
    next_walk.join(60)
    assert not next_walk.is_alive()
    assert small_model._ready._users == 0
