"""CLIP text weights of other programs, there and back. Oracles: their models, random weights, their outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from diffloom.bridge import Bridge, Foreign, Inferred, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom_clip import ClipEncoder, ClipText

Maker = Callable[[str], Any]
Recognise = Callable[[Foreign], tuple[Bridge, Inferred]]

SORTS = (
    "open_clip",
    "open_clip, custom text",
    "transformers",
    "transformers, projected",
    "transformers, whole",
)
ASSUMED = {"activation": "quick_gelu", "attention": "causal"}


@pytest.mark.parametrize("sort", SORTS)
@torch.no_grad()
def test_outputs_are_theirs_and_every_tensor_comes_back(
    rows: Tensor, recognised: Recognise, make_theirs: Maker, sort: str
) -> None:
    theirs, read, config = make_theirs(sort)
    state = theirs.state_dict()
    bridge, inferred = recognised(Foreign(MemoryTensors(state), config, ASSUMED))
    with torch.device("meta"):
        tower = inferred.build()
    fill(tower, MemoryTensors(state), bridge)
    reading = tower.eval()(rows)
    found = reading.tokens_NLD if sort == "transformers" else reading.pooled_NP
    torch.testing.assert_close(found, read(), rtol=1e-5, atol=1e-5)
    back = theirs_of(tower, bridge)
    assert back.keys() <= state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in back.items())
    left = state.keys() - back.keys()
    assert {name.partition(".")[0] for name in left} <= {
        "visual",
        "logit_scale",
        "vision_model",
        "visual_projection",
    }


@pytest.mark.parametrize("sort", SORTS)
def test_one_wrong_tensor_is_refused(recognised: Recognise, make_theirs: Maker, sort: str) -> None:
    """Each in turn renamed, missing or of another shape: never loaded, and named where it is known what it is."""
    theirs, _, config = make_theirs(sort)
    state = theirs.state_dict()
    bridge, inferred = recognised(Foreign(MemoryTensors(state), config, ASSUMED))
    with torch.device("meta"):
        tower = inferred.build()
    needed = [name for entry in bridge.entries(tower) for name in entry.theirs]
    for name in needed:
        others = {key: value for key, value in state.items() if key != name}
        odd = state[name].new_zeros(*state[name].shape, 1)
        for wrong in (others, {**others, f"{name}_": state[name]}, {**others, name: odd}):
            with pytest.raises(CheckpointError, match="nothing was loaded") as caught:
                fill(tower, MemoryTensors(wrong), bridge)
            assert name in str(caught.value)
    with pytest.raises(CheckpointError, match=r"1 left over: text_model\.strange"):
        fill(tower, MemoryTensors({**state, "text_model.strange": torch.zeros(1)}), bridge)


def test_transformers_4_and_5_name_alike_but_for_a_prefix(
    recognised: Recognise, their_model: Callable[..., nn.Module]
) -> None:
    """And the former keeps position ids, which are no weights."""
    model = their_model(projected=False)
    bare = {name.removeprefix("text_model."): tensor for name, tensor in model.state_dict().items()}
    old = {f"text_model.{name}": tensor for name, tensor in bare.items()}
    old["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    towers = []
    for state in (bare, old):
        bridge, inferred = recognised(Foreign(MemoryTensors(state), model.config.to_dict()))
        towers.append(inferred.build())
        fill(towers[-1], MemoryTensors(state), bridge)
    one, other = (tower.state_dict() for tower in towers)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("sort", ["transformers", "transformers, projected"])
@torch.no_grad()
def test_an_exported_tower_is_loaded_by_transformers(
    rows: Tensor, recognised: Recognise, make_theirs: Maker, sort: str, tmp_path: Path
) -> None:
    """Oracle: `from_pretrained` on what we wrote gives the outputs of the model that we read."""
    theirs, read, config = make_theirs(sort)
    bridge, inferred = recognised(Foreign(MemoryTensors(theirs.state_dict()), config))
    tower = inferred.build()
    fill(tower, MemoryTensors(theirs.state_dict()), bridge)
    writer = next(bridge for bridge in ClipText.bridges() if bridge.format == "transformers")
    (tmp_path / "config.json").write_text(json.dumps(writer.config(inferred)))
    save_file(theirs_of(tower, writer), tmp_path / "model.safetensors", metadata={"format": "pt"})
    again, loading = type(theirs).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    wanted = read()
    found = again(rows)
    assert torch.equal(found.text_embeds if sort.endswith("projected") else found.last_hidden_state, wanted)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"architecture": "ViT-H-14", "layer": "penultimate"},
            "say the same with `depth: 23` and `layer: last`",
        ),
        ({"architecture": "ViT-H-14", "final_norm": False}, "normalise the last block's tokens"),
        ({"architecture": "coca_ViT-B-32"}, "no text tower with embed_cls as in this one"),
        ({"architecture": "MobileCLIP-S1"}, "no text tower with no_causal_mask as in this one"),
        (
            {"architecture": "ViT-B-16-SigLIP"},
            "no text tower with no_causal_mask, pool_type, proj_bias, tokenizer as",
        ),
    ],
)
def test_what_transformers_cannot_express_is_not_exported(fields: dict[str, Any], message: str) -> None:
    writer = next(bridge for bridge in ClipText.bridges() if bridge.format == "transformers")
    with pytest.raises(CheckpointError, match=message):
        writer.config(Inferred(ClipEncoder.model_validate(fields)))


def test_a_tower_of_another_sort_is_filled_by_its_own_bridge_alone() -> None:
    """CoCa's learned token has no name in transformers' CLIP, and every bridge is asked for its names."""
    with torch.device("meta"):
        tower = ClipEncoder(architecture="coca_ViT-B-32").build()
    state = {f"text.{name.removeprefix('text.')}": tensor for name, tensor in tower.state_dict().items()}
    full = [
        bridge
        for bridge in ClipText.bridges()
        if {name for entry in bridge.entries(tower) for name in entry.theirs} <= state.keys()
    ]
    assert [type(bridge).__name__ for bridge in full] == ["OpenClipCustomText"]
