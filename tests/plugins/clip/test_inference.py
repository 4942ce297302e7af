"""What a CLIP's names and shapes tell of it, and what they do not. Oracle: what the published models are."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.bridge import AmbiguousError, Bridge, Foreign, Inferred, MemoryTensors, theirs_of
from diffloom.errors import CheckpointError
from diffloom_clip import ClipEncoder, ClipText, TextArchitecture

Maker = Callable[[str], Any]
Recognise = Callable[[Foreign], tuple[Bridge, Inferred]]


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
    recognised: Recognise,
    shape: tuple[int, int, str, int | None],
    beside: tuple[str, ...],
    wanted: dict[str, Any],
) -> None:
    """Oracle: what the published models are."""
    width, layers, style, projection = shape
    state = hollow(width, layers, style=style, projection=projection)
    state |= {name: torch.zeros(()) for name in beside}
    _, inferred = recognised(Foreign(MemoryTensors(state)))
    assert {name: getattr(inferred.part, name) for name in wanted} == wanted
    assert len(inferred.told) >= 4


def test_an_unknown_tower_carries_its_own_architecture(recognised: Recognise, make_theirs: Maker) -> None:
    theirs, _, config = make_theirs("transformers")
    _, inferred = recognised(Foreign(MemoryTensors(theirs.state_dict()), config))
    assert inferred.part.architecture == TextArchitecture(width=32, heads=4, layers=3, quick_gelu=False)


def test_what_neither_names_nor_shapes_tell_is_asked(recognised: Recognise, make_theirs: Maker) -> None:
    whole = make_theirs("open_clip")[0].state_dict()
    with pytest.raises(AmbiguousError, match="either activation") as caught:
        recognised(Foreign(MemoryTensors(whole)))
    assert "--assume activation=quick_gelu" in str(caught.value)
    for answer, quick in (("gelu", False), ("quick_gelu", True)):
        _, inferred = recognised(Foreign(MemoryTensors(whole), assume={"activation": answer}))
        assert inferred.part.published.quick_gelu is quick
    with pytest.raises(CheckpointError, match="activation=relu is neither quick_gelu nor gelu"):
        recognised(Foreign(MemoryTensors(whole), assume={"activation": "relu"}))
    narrow = make_theirs("transformers")[0].state_dict()
    with pytest.raises(
        AmbiguousError, match=r"a width of 32 does not tell its heads.*\n.*heads=2: heads of 16"
    ):
        recognised(Foreign(MemoryTensors(narrow)))
    _, inferred = recognised(Foreign(MemoryTensors(narrow), assume={"heads": "4", "activation": "gelu"}))
    assert inferred.part.published.heads == 4
    with pytest.raises(CheckpointError, match="heads=5 does not divide the width 32"):
        recognised(Foreign(MemoryTensors(narrow), assume={"heads": "5"}))


def test_towers_of_two_sorts_of_attention_are_asked_of(recognised: Recognise) -> None:
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act relu is none of quick_gelu, gelu"),
        ({"eos_token_id": 7}, "texts end with token 7, and CLIP's with 49407"),
    ],
)
def test_other_networks_of_transformers_are_refused(
    recognised: Recognise, make_theirs: Maker, change: dict[str, Any], message: str
) -> None:
    theirs, _, config = make_theirs("transformers")
    with pytest.raises(CheckpointError, match=message):
        recognised(Foreign(MemoryTensors(theirs.state_dict()), {**(config or {}), **change}))


def test_a_small_vocabulary_is_none_of_clips(recognised: Recognise, library: ModuleType) -> None:
    picture = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 32}
    text = {"width": 64, "heads": 1, "layers": 3, "vocab_size": 1000}
    state = library.CLIP(embed_dim=24, vision_cfg=picture, text_cfg=text).state_dict()
    with pytest.raises(CheckpointError, match="CLIP's tokens need a vocab_size of 49408, not 1000"):
        recognised(Foreign(MemoryTensors(state), assume={"activation": "gelu"}))


def test_what_is_no_text_tower_is_left_to_others() -> None:
    for names in (["conv_in.weight"], ["text_model.embeddings.token_embedding.weight"], ["visual.proj"]):
        state = {name: torch.zeros(2, 2) for name in names}
        assert [bridge.infer(Foreign(MemoryTensors(state))) for bridge in ClipText.bridges()] == [None] * 4
