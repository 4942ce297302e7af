"""Every bridge, there and back. Oracle: the tensors that went in, to the bit; refusals name what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.bridge import Bridge, Foreign, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo, Space
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, TinyAutoencoder

IMAGE = ImageInfo(256, 256, 3)
PARTS: list[Space] = [
    AutoencoderKL(channels=(32, 64), attention_levels=(1,), latent_channels=5),
    AutoencoderKL(channels=(32, 32, 64), blocks_per_level=1, latent_channels=16, quant_convs=False),
    AutoencoderKL(channels=(32,)),
    AutoencoderVQ(channels=(32, 32), attention_levels=(0, 1), codebook=11, latent_channels=4),
    AutoencoderVQ(channels=(32, 64), codebook=40),
    TinyAutoencoder(channels=8, blocks=(1, 2, 3)),
    TinyAutoencoder(channels=8, blocks=(0, 0, 1, 0), latent_channels=16),
    TinyAutoencoder(channels=8, blocks=(1, 1), pooled_middle=True),
]
CASES = [
    pytest.param(part, type(bridge), id=f"{part.name}{index}-{type(bridge).__name__}")
    for index, part in enumerate(PARTS)
    for bridge in type(part).bridges()
]


@pytest.fixture
def written() -> Callable[[Space, Bridge], tuple[Any, dict[str, Tensor]]]:
    """Our network with random weights in float16, and these in another program's form."""

    def write(part: Space, bridge: Bridge) -> tuple[Any, dict[str, Tensor]]:
        torch.manual_seed(0)
        module = part.build(image=IMAGE).half()
        with torch.no_grad():
            for weight in module.parameters():
                weight.normal_()
        return module, theirs_of(module, bridge)

    return write


@pytest.mark.parametrize(("part", "kind"), CASES)
def test_names_and_shapes_tell_the_network(part: Space, kind: type, written: Any, bridge_of: Any) -> None:
    """Without a configuration; and the weights come back to the bit, with their dtype."""
    module, theirs = written(part, kind())
    foreign = Foreign(MemoryTensors(theirs))
    bridge, inferred = bridge_of(type(part), foreign)
    assert type(bridge) is kind
    assert inferred.part == part
    assert inferred.shapes["image"] == IMAGE
    with torch.device("meta"):
        again = inferred.build()
    fill(again, foreign.tensors, bridge)
    ours, expected = again.state_dict(), module.state_dict()
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in ours)
    back = theirs_of(again, bridge)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)
    assert {tensor.dtype for tensor in back.values()} == {torch.float16}


@pytest.mark.parametrize(("part", "kind"), CASES)
def test_a_name_too_few_too_many_or_changed_is_refused(part: Space, kind: type, written: Any) -> None:
    bridge = kind()
    module, theirs = written(part, bridge)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for name in [*theirs][:: len(theirs) // 2]:
        others = {key: tensor for key, tensor in theirs.items() if key != name}
        changed = {
            "missing": others,
            "left over": {**theirs, f"{name}_2": theirs[name]},
            "of another shape": {**others, name: torch.zeros(*theirs[name].shape, 1)},
        }
        for problem, tensors in changed.items():
            with pytest.raises(CheckpointError, match=problem):
                fill(module, MemoryTensors(tensors), bridge)
        with pytest.raises(CheckpointError, match=r"1 missing: (?s:.)*1 left over"):
            fill(module, MemoryTensors({**others, f"{name}_2": theirs[name]}), bridge)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize(("part", "kind"), CASES)
def test_no_other_component_takes_them(part: Space, kind: type, written: Any) -> None:
    _, theirs = written(part, kind())
    for component in {AutoencoderKL, AutoencoderVQ, TinyAutoencoder} - {type(part)}:
        assert [b for b in component.bridges() if b.infer(Foreign(MemoryTensors(theirs))) is not None] == []


@pytest.mark.parametrize("component", [AutoencoderKL, AutoencoderVQ, TinyAutoencoder])
def test_other_networks_are_nobody_s(component: type[Space]) -> None:
    tensors = MemoryTensors({"conv_in.weight": torch.zeros(8, 4, 3, 3), "time.weight": torch.zeros(2)})
    config = {"_class_name": "UNet2DModel"}
    for bridge in component.bridges():
        assert bridge.infer(Foreign(tensors)) is None
        assert bridge.infer(Foreign(tensors, config)) is None
