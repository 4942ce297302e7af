"""CLIP text weights of other programs. Oracles: their own models, made with random weights, and their outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from diffloom.bridge import AmbiguousError, Bridge, Foreign, Inferred, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom_clip import ClipEncoder, ClipText, TextArchitecture

IDS = torch.tensor([[49406, 736, 2368, 49407, *[0] * 73], [49406, *range(300, 375), 49407]])
PICTURE = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 32}
TEXT = {"width": 64, "heads": 1, "layers": 3}

Maker = Callable[[str], tuple[nn.Module, Callable[[], Tensor], dict[str, Any] | None]]


@pytest.fixture(scope="module")
def make(library: ModuleType, their_model: Callable[..., nn.Module]) -> Maker:
    """A model of theirs by what it is, what it makes of the ids, and its configuration."""
    from transformers import CLIPConfig, CLIPModel

    def clip(sort: str) -> tuple[nn.Module, Callable[[], Tensor], dict[str, Any] | None]:
        torch.manual_seed(1)
        fields = {"embed_dim": 24, "vision_cfg": PICTURE, "text_cfg": TEXT, "quick_gelu": True}
        if sort == "open_clip":
            one = library.CLIP(**fields).eval()
            return one, lambda: one.encode_text(IDS), None
        if sort == "open_clip, custom text":
            two = library.CustomTextCLIP(**fields).eval()
            return two, lambda: two.encode_text(IDS), None
        if sort == "transformers, whole":
            sizes = {
                "hidden_size": 32,
                "intermediate_size": 128,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
            }
            three = CLIPModel(CLIPConfig(text_config=sizes, vision_config=sizes, projection_dim=24)).eval()
            return three, lambda: three.get_text_features(IDS).pooler_output, three.config.to_dict()
        projected = sort == "transformers, projected"
        four = their_model(projected=projected, hidden_act="gelu")
        read = (lambda: four(IDS).text_embeds) if projected else (lambda: four(IDS).last_hidden_state)
        return four, read, four.config.to_dict()

    return clip


SORTS = (
    "open_clip",
    "open_clip, custom text",
    "transformers",
    "transformers, projected",
    "transformers, whole",
)


def recognised(foreign: Foreign) -> tuple[Bridge, Inferred]:
    """The one bridge that knows these weights."""
    found = [
        (bridge, inferred) for bridge in ClipText.bridges() if (inferred := bridge.infer(foreign)) is not None
    ]
    ((bridge, inferred),) = found
    return bridge, inferred


ASSUMED = {"activation": "quick_gelu", "attention": "causal"}


@pytest.mark.parametrize("sort", SORTS)
@torch.no_grad()
def test_outputs_are_theirs_and_every_tensor_comes_back(make: Maker, sort: str) -> None:
    theirs, read, config = make(sort)
    state = theirs.state_dict()
    bridge, inferred = recognised(Foreign(MemoryTensors(state), config, ASSUMED))
    with torch.device("meta"):
        tower = inferred.build()
    fill(tower, MemoryTensors(state), bridge)
    reading = tower.eval()(IDS)
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
def test_one_wrong_tensor_is_refused(make: Maker, sort: str) -> None:
    """Each in turn renamed, missing or of another shape: never loaded, and named where it is known what it is."""
    theirs, _, config = make(sort)
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


def test_transformers_4_and_5_name_alike_but_for_a_prefix(their_model: Callable[..., nn.Module]) -> None:
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


def hollow(width: int, layers: int, *, style: str, projection: int | None = None) -> dict[str, Tensor]:
    """The names and shapes of a tower, without numbers."""
    with torch.device("meta"):
        architecture = TextArchitecture(width=width, heads=width // 64, layers=layers, embed_dim=projection)
        tower = ClipEncoder(architecture=architecture, pooled=projection is not None).build()
    bridges = {bridge.prefix or bridge.format: bridge for bridge in ClipText.bridges()}
    return theirs_of(tower, bridges[style])


L14 = {"architecture": "ViT-L-14-quickgelu", "depth": None}
H14 = {"architecture": "ViT-H-14", "depth": None}
BIG = {"architecture": "ViT-bigG-14", "depth": None}
BARE = {"pooled": False}
PROJECTED = {"pooled": True, "pad": "zero"}


@pytest.mark.parametrize(
    ("shape", "beside", "wanted"),
    [
        ((768, 12, "text_model.", None), (), {**L14, **BARE, "pad": "end"}),
        ((1024, 23, "text_model.", None), (), {**H14, **BARE, "depth": 23, "pad": "zero"}),
        ((1024, 24, "open_clip", 1024), ("logit_scale",), {**H14, **PROJECTED}),
        ((1280, 32, "open_clip", 1280), ("logit_scale",), {**BIG, **PROJECTED}),
        ((1280, 32, "text_model.", 1280), (), {**BIG, **PROJECTED}),
        (
            (512, 12, "open_clip", 512),
            ("input_resolution", "context_length", "vocab_size", "visual.proj"),
            {"architecture": "ViT-B-32-quickgelu", "depth": None, **PROJECTED},
        ),
    ],
    ids=["SD 1.x", "SD 2.x of diffusers", "SD 2.x", "SDXL", "SDXL of diffusers", "OpenAI's ViT-B"],
)
def test_published_towers_are_known_by_shape(
    shape: tuple[int, int, str, int | None], beside: tuple[str, ...], wanted: dict[str, Any]
) -> None:
    """Oracle: what the published models are."""
    width, layers, style, projection = shape
    state = hollow(width, layers, style=style, projection=projection)
    state |= {name: torch.zeros(()) for name in beside}
    _, inferred = recognised(Foreign(MemoryTensors(state)))
    assert {name: getattr(inferred.part, name) for name in wanted} == wanted
    assert len(inferred.told) >= 4


def test_an_unknown_tower_carries_its_own_architecture(make: Maker) -> None:
    theirs, _, config = make("transformers")
    _, inferred = recognised(Foreign(MemoryTensors(theirs.state_dict()), config))
    assert inferred.part.architecture == TextArchitecture(width=32, heads=4, layers=3, quick_gelu=False)


def test_what_neither_names_nor_shapes_tell_is_asked(make: Maker) -> None:
    whole = make("open_clip")[0].state_dict()
    with pytest.raises(AmbiguousError, match="either activation") as caught:
        recognised(Foreign(MemoryTensors(whole)))
    assert "--assume activation=quick_gelu" in str(caught.value)
    for answer, quick in (("gelu", False), ("quick_gelu", True)):
        _, inferred = recognised(Foreign(MemoryTensors(whole), assume={"activation": answer}))
        assert inferred.part.published.quick_gelu is quick
    with pytest.raises(CheckpointError, match="activation=relu is neither quick_gelu nor gelu"):
        recognised(Foreign(MemoryTensors(whole), assume={"activation": "relu"}))
    narrow = make("transformers")[0].state_dict()
    with pytest.raises(
        AmbiguousError, match=r"a width of 32 does not tell its heads.*\n.*heads=2: heads of 16"
    ):
        recognised(Foreign(MemoryTensors(narrow)))
    _, inferred = recognised(Foreign(MemoryTensors(narrow), assume={"heads": "4", "activation": "gelu"}))
    assert inferred.part.published.heads == 4
    with pytest.raises(CheckpointError, match="heads=5 does not divide the width 32"):
        recognised(Foreign(MemoryTensors(narrow), assume={"heads": "5"}))


def test_towers_of_two_sorts_of_attention_are_asked_of() -> None:
    """EVA's text tower is causal, MobileCLIP's of the same shapes is not."""
    state = hollow(512, 12, style="text.", projection=512)
    answers = {"activation": "gelu"}
    with pytest.raises(AmbiguousError, match="--assume attention=full"):
        recognised(Foreign(MemoryTensors(state), assume=answers))
    for answer, full in (("causal", False), ("full", True)):
        _, inferred = recognised(Foreign(MemoryTensors(state), assume={**answers, "attention": answer}))
        assert inferred.part.published.no_causal_mask is full


def test_what_a_tower_was_built_without_may_stay_unread() -> None:
    """Stable Diffusion 2.x's file has the last block and the projection that nothing there reads."""
    encoder = ClipEncoder(architecture="ViT-H-14", depth=23)
    with torch.device("meta"):
        tower = encoder.build()
    bridge = next(bridge for bridge in ClipText.bridges() if bridge.format == "open_clip")
    full = hollow(1024, 24, style="open_clip", projection=1024)
    needed = {name for entry in bridge.entries(tower) for name in entry.theirs}
    left = full.keys() - needed
    assert {name for name in left if not name.startswith("transformer.resblocks.23.")} == {"text_projection"}
    assert set(bridge.spare(tower, left)) == left
    assert bridge.spare(tower, ["transformer.resblocks.24.ln_1.weight", "strange"]) == []


@pytest.mark.parametrize("sort", ["transformers", "transformers, projected"])
@torch.no_grad()
def test_an_exported_tower_is_loaded_by_transformers(make: Maker, sort: str, tmp_path: Any) -> None:
    """Oracle: `from_pretrained` on what we wrote gives the outputs of the model that we read."""
    theirs, read, config = make(sort)
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
    found = again(IDS)
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act relu is none of quick_gelu, gelu"),
        ({"eos_token_id": 7}, "texts end with token 7, and CLIP's with 49407"),
    ],
)
def test_other_networks_of_transformers_are_refused(
    make: Maker, change: dict[str, Any], message: str
) -> None:
    theirs, _, config = make("transformers")
    with pytest.raises(CheckpointError, match=message):
        recognised(Foreign(MemoryTensors(theirs.state_dict()), {**(config or {}), **change}))


def test_a_small_vocabulary_is_none_of_clips(library: ModuleType) -> None:
    text = {**TEXT, "vocab_size": 1000}
    state = library.CLIP(embed_dim=24, vision_cfg=PICTURE, text_cfg=text).state_dict()
    with pytest.raises(CheckpointError, match="CLIP's tokens need a vocab_size of 49408, not 1000"):
        recognised(Foreign(MemoryTensors(state), assume=ASSUMED))


def test_what_is_no_text_tower_is_left_to_others() -> None:
    for names in (["conv_in.weight"], ["text_model.embeddings.token_embedding.weight"], ["visual.proj"]):
        state = {name: torch.zeros(2, 2) for name in names}
        assert [bridge.infer(Foreign(MemoryTensors(state))) for bridge in ClipText.bridges()] == [None] * 4
