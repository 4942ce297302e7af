"""Parts brought to the device in turn. Oracles: where the weights are meanwhile, and the samples without it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import diffloom
from diffloom import Pipeline
from diffloom.errors import DiffloomError
from diffloom.inference.visit import visiting

META = torch.device("meta")


def test_weights_are_away_only_meanwhile() -> None:
    part = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    homes = {name: weight.data_ptr() for name, weight in part.state_dict().items()}
    tied = nn.ModuleList([part, part[0]])

    def fails() -> None:
        with visiting(tied, "part", META):
            assert {weight.device for weight in part.state_dict().values()} == {META}
            assert tied[1].weight is part[0].weight
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert {name: weight.data_ptr() for name, weight in part.state_dict().items()} == homes


def test_one_part_is_away_at_a_time(
    small_model: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Encoders, then the network, which leaves when the walk is over, then the decoder."""
    pipe = offloaded(small_model, "cpu")
    wanted = small_model.sample(label=[3, 4], seed=1, steps=3).tensor
    told: list[str] = []
    encode, decode = type(pipe.conditioning).encode, type(pipe.space).decode

    def note(what: str) -> None:
        told.append(f"{what}, {'with' if pipe._ready._kept else 'without'} the network")

    def noted_encode(*args: object, **kwargs: object) -> object:
        note("encode")
        return encode(*args, **kwargs)  # type: ignore[arg-type]

    def noted_decode(space: nn.Module, x_BCHW: Tensor) -> Tensor:
        note("decode")
        return decode(space, x_BCHW)  # type: ignore[arg-type]

    monkeypatch.setattr(type(pipe.conditioning), "encode", noted_encode)
    monkeypatch.setattr(type(pipe.space), "decode", noted_decode)
    with caplog.at_level(logging.DEBUG, "diffloom"):
        steps = pipe.stream(label=[3, 4], seed=1, steps=3)
        next(steps)
        note("walk")
        *_, last = steps
        found = pipe.decode(last.following_BCHW)
    assert told == [
        "encode, without the network",
        "walk, with the network",
        "decode, without the network",
    ]
    lines = [record.message for record in caplog.records if "offload" in record.message]
    assert lines == [
        "sampling.offload: conditioners goes to cpu",
        "sampling.offload: conditioners has left cpu",
    ]
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def offloaded(pipe: Pipeline, device: str) -> Pipeline:
    """The pipeline as if it worked on a device that is not its own."""
    document = pipe.document
    sampling = document.sampling.model_copy(update={"offload": True})
    other = Pipeline(
        document.model_copy(update={"sampling": sampling}), pipe.module, pipe.process, registry=pipe.registry
    )
    other._visited = torch.device(device)
    return other


def test_a_walk_that_is_left_leaves_nothing_behind(small_model: Pipeline) -> None:
    pipe = offloaded(small_model, "cpu")
    steps = pipe.stream(label=3, seed=1, steps=3)
    next(steps)
    del steps
    assert pipe._ready._kept is None


def test_of_two_walks_the_last_one_lets_the_network_go(small_model: Pipeline) -> None:
    pipe = offloaded(small_model, "cpu")
    one, other = (pipe.stream(label=label, seed=1, steps=2) for label in (3, 4))
    next(one), next(other)
    list(one)
    assert pipe._ready._kept is not None
    list(other)
    assert pipe._ready._kept is None


def test_a_device_of_its_own_is_worked_on_and_weights_stay_at_home(configs: Path) -> None:
    pipe = diffloom.build(configs / "digits.yaml", ["sampling.offload=true"], device="cpu").work_on(META)
    assert pipe.device == META
    assert {weight.device.type for weight in pipe.module.parameters()} == {"cpu"}
    with pipe.in_turn("space"):
        assert all(weight.device == META for weight in pipe.module["space"].parameters())
    assert pipe.ready(pipe.document.sampling).module.get_parameter("enter.weight").device == META
    with pytest.raises(DiffloomError, match=r"sampling\.offload: .* pipeline\.to\('meta'\)"):
        _ = pipe.network
    assert pipe.to("cpu").device.type == "cpu"
    assert pipe.work_on(META, offload=False).module.get_parameter("backbone.enter.weight").device == META


def test_on_a_cpu_it_changes_nothing_and_says_so_once(
    configs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "diffloom"):
        pipe = diffloom.build(configs / "digits.yaml", ["sampling.offload=true"], device="cpu")
        pipe.sample(label=3, steps=2)
    told = [record.message for record in caplog.records if "offload" in record.message]
    assert told == ["offload: the weights are in the CPU's own memory already, so nothing is moved"]
