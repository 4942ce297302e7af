"""What a YAML file may say of CLIP, and what it is told when that cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from diffloom import config
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo, ImageInfo, Setting, SpaceInfo
from diffloom.plugins import load_registry
from diffloom_clip import ClipEncoder, ClipText, TextArchitecture
from diffloom_clip.architecture import from_file, named
from diffloom_clip.library import model_files

SMALL = {"width": 16, "heads": 2, "layers": 2, "embed_dim": 12, "context_length": 9}
SETTING = Setting(image=ImageInfo(8, 8, 3), space=SpaceInfo(3, 8, 8))


def clip(**fields: Any) -> ClipText:
    return ClipText.model_validate({"encoders": ({"architecture": SMALL},), **fields})


def test_shapes_are_known_without_torch_and_open_clip() -> None:
    code = """
import sys
from diffloom_clip import ClipEncoder, ClipText
one = ClipEncoder(architecture="ViT-L-14-quickgelu")
two = ClipEncoder(architecture="ViT-bigG-14", pooled=True)
info = ClipText(encoders=(one, two)).info(None)
assert (info.tokens, info.vector) == (2048, 1280)
assert not {"torch", "open_clip"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, ConditionInfo(tokens=16)),
        ({"pooled": True}, ConditionInfo(tokens=16, vector=12)),
        ({"tokens": False, "pooled": True}, ConditionInfo(vector=12)),
    ],
)
def test_info_says_what_is_read(fields: dict[str, Any], wanted: ConditionInfo) -> None:
    assert clip(encoders=({"architecture": SMALL, **fields},)).info(SETTING) == wanted


def test_every_architecture_of_open_clips_own_builds() -> None:
    """All but those whose text tower is of another library."""
    refused = []
    for name, path in model_files().items():
        text = json.loads(path.read_text())["text_cfg"]
        if "hf_model_name" in text:
            refused.append(name)
            with pytest.raises(ValueError, match=rf"{name}: its text tower is {text['hf_model_name']}"):
                named(name)
        else:
            assert named(name).width == text["width"]
    assert len(model_files()) - len(refused) > 120


@pytest.mark.parametrize(
    "name", ["ViT-B-16-SigLIP", "coca_ViT-B-32", "MobileCLIP-S1", "ViT-L-14-CLIPA", "ViT-B-32-quickgelu"]
)
def test_a_named_tower_is_what_open_clip_builds(library: Any, name: str) -> None:
    """Oracle: open_clip's own builder, on what its model file says word by word."""
    model = json.loads(model_files()[name].read_text())
    with torch.device("meta"):
        wanted = library.model._build_text_tower(
            model["embed_dim"], model["text_cfg"], quick_gelu=model.get("quick_gelu", False)
        )
        found = ClipEncoder(architecture=name, pooled=True).build().text
    assert repr(found) == repr(wanted)
    told = ("context_length", "vocab_size", "pool_type", "pad_id", "eos_id", "heads", "use_pad_mask")
    assert [getattr(found, key) for key in told] == [getattr(wanted, key) for key in told]
    assert (found.attn_mask is None) == (wanted.attn_mask is None)
    assert {key: value.shape for key, value in found.state_dict().items()} == {
        key: value.shape for key, value in wanted.state_dict().items()
    }


def test_a_model_file_of_ones_own_is_read_once_and_for_all(tmp_path: Path) -> None:
    """A checkpoint carries the fields, not the path of a file that may be gone."""
    text = {
        "width": 16,
        "heads": 2,
        "layers": 2,
        "norm_kwargs": {"eps": 1e-6},
        "act_kwargs": {"approximate": "tanh"},
    }
    plain, hub = tmp_path / "mine.json", tmp_path / "open_clip_config.json"
    plain.write_text(json.dumps({"embed_dim": 12, "vision_cfg": {}, "text_cfg": text}))
    hub.write_text(json.dumps({"model_cfg": {"embed_dim": 12, "text_cfg": text}, "preprocess_cfg": {}}))
    wanted = TextArchitecture(width=16, heads=2, layers=2, embed_dim=12, norm_eps=1e-6, gelu_tanh=True)
    for path in (plain, hub):
        encoder = ClipEncoder(architecture=str(path))
        path.unlink()
        assert encoder.architecture == wanted
        tower = encoder.build()
        assert tower.text.ln_final.eps == 1e-6
        assert tower.text.transformer.resblocks[0].mlp.gelu.approximate == "tanh"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "mine.json: No such file"),
        ("{", "no JSON"),
        ("[]", "no open_clip model: it has no text_cfg"),
        (
            '{"text_cfg": {"width": 16, "heads": 2, "qk_norm": true}}',
            "qk_norm: Extra inputs are not permitted",
        ),
        ('{"text_cfg": {"width": 15, "heads": 2}}', "width 15 cannot be split into 2 heads"),
        ('{"text_cfg": {"vocab_size": 99}}', "CLIP's tokens need a vocab_size of 49408, not 99"),
    ],
)
def test_a_model_file_that_is_none(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        from_file(str(path))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoders": ()}, "at least 1 item"),
        ({"encoders": ({"architecture": "ViT-L14"},)}, "no architecture 'ViT-L14'; did you mean ViT-L-14"),
        ({"encoders": ({"architecture": "roberta-ViT-B-32"},)}, "its text tower is roberta-base"),
        ({"encoders": ({"architecture": SMALL, "tokens": False},)}, "nothing is left of it to read"),
        ({"encoders": ({"architecture": SMALL, "depth": 3},)}, "depth 3 is more than the 2 blocks"),
        ({"encoders": ({"architecture": SMALL, "depth": 1, "layer": "penultimate"},)}, "take layer: last"),
        (
            {"encoders": ({"architecture": {**SMALL, "quick_gelu": True, "gelu_tanh": True}},)},
            "two activations",
        ),
        (
            {"encoders": ({"architecture": SMALL}, {"architecture": {**SMALL, "context_length": 8}})},
            "contexts of 8 and 9 tokens cannot stand side by side",
        ),
        (
            {"encoders": ({"architecture": "ViT-B-16-SigLIP"},), "chunks": 2},
            "timm/ViT-B-16-SigLIP makes others; leave 1",
        ),
    ],
)
def test_configurations_that_cannot_work(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        clip(**fields)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "the prompt is empty; for pictures of no prompt, leave it out"),
        (" \n\t\u3000", "the prompt is empty"),
        (None, "a prompt is a text, not None"),
        (7, "a prompt is a text, not 7"),
        ("a <|endoftext|> b", "holds <|endoftext|>, which would begin or end it there"),
        ("a <START_OF_TEXT> b", "holds <START_OF_TEXT>"),
        ("half \ud83d", "holds half a character"),
        ("one two three four five six seven eight", "has 8 tokens, more than one chunk can hold"),
    ],
)
def test_prompts_that_are_none(raw: Any, message: str) -> None:
    for take in (clip().check, clip().parse):
        with pytest.raises(ValueError) as caught:
            take(raw)
        assert message in str(caught.value)


def test_a_long_prompt_says_what_would_be_lost_and_what_to_do() -> None:
    prompt = "one two three four five six seven " * 3 + "eight"
    with pytest.raises(ValueError) as caught:
        clip(chunks=2).check(prompt)
    assert str(caught.value) == (
        "the prompt 'one two three four five six seven one tw … six seven eight' has 22 tokens, more than 2 chunks "
        "can hold; this would be cut off: 'one two three four five six seven eight' (shorten it, give the "
        "conditioner more `chunks`, or let it cut with `overflow: truncate`)"
    )
    assert clip(chunks=4).check(prompt) == prompt
    assert clip(overflow="truncate").check(prompt) == prompt


def test_every_encoder_must_have_room() -> None:
    roomy = {"architecture": {**SMALL, "context_length": 77}}
    both = clip(encoders=(roomy, {"architecture": SMALL, "tokens": False, "pooled": True}))
    with pytest.raises(ValueError, match="cut off: 'eight'"):
        both.check("one two three four five six seven eight")


YAML = """
image: {size: 8, channels: 3}
space: pixel
backbone: {type: cross_attention_unet, channels: [32, 64], transformer_depth: [0, 1], heads: 2}
schedule: linear
prediction: epsilon
objective: simple
sampling: {sampler: ddim, steps: 2}
conditioners:
  prompt:
    type: clip_text
    dropout: 0.1
    chunks: 2
    encoders:
      - {architecture: ViT-L-14-quickgelu, layer: penultimate, final_norm: false, pad: end}
      - architecture: {width: 16, heads: 2, layers: 3, embed_dim: 12}
        pooled: true
        weights: hf://somebody/something
"""


def test_a_yaml_file_says_it_and_a_checkpoint_repeats_it() -> None:
    """What the resolved configuration says is read again as the same component."""
    registry = load_registry()
    document = config.parse(YAML, name="clip.yaml", registry=registry).document
    prompt = document.conditioners["prompt"]
    assert prompt == ClipText(
        dropout=0.1,
        chunks=2,
        encoders=(
            ClipEncoder(architecture="ViT-L-14-quickgelu", layer="penultimate", final_norm=False, pad="end"),
            ClipEncoder(
                architecture=TextArchitecture(width=16, heads=2, layers=3, embed_dim=12),
                pooled=True,
                weights="hf://somebody/something",
            ),
        ),
    )
    again = config.parse(config.to_yaml(document, registry), name="resolved", registry=registry).document
    assert again.conditioners["prompt"] == prompt


def test_weights_are_named_encoder_by_encoder() -> None:
    both = clip(encoders=({"architecture": SMALL, "weights": "a.safetensors"}, {"architecture": SMALL}))
    module = both.build(setting=SETTING, codec=None)
    parts = list(both.weighted(module))
    assert [part for part, _ in parts] == list(both.encoders)
    assert [tower for _, tower in parts] == list(module.towers)
    assert [part.located() for part, _ in parts] == ["a.safetensors", None]


class TestTags:
    """Tags of open_clip's. Oracle: its own table of them, and a file in the place of a download."""

    def test_a_tag_stands_for_the_file_that_open_clip_downloads(
        self, monkeypatch: pytest.MonkeyPatch, library: Any, tmp_path: Path
    ) -> None:
        file = tmp_path / "weights.safetensors"
        published = {**library.get_pretrained_cfg("ViT-H-14", "laion2b_s32b_b79k"), "file": str(file)}
        monkeypatch.setitem(library.pretrained._PRETRAINED["ViT-H-14"], "laion2b_s32b_b79k", published)
        for tag in ("laion2b_s32b_b79k", "laion2b-s32b-b79k"):
            assert ClipEncoder(architecture="ViT-H-14", weights=tag).located() == str(file)

    def test_weights_of_the_other_activation_are_refused(self) -> None:
        with pytest.raises(
            CheckpointError, match="trained with quick-GELU; set `architecture: ViT-L-14-quickgelu`"
        ):
            ClipEncoder(architecture="ViT-L-14", weights="openai").located()

    def test_a_download_that_fails_is_told(self, monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
        def fail(published: object) -> str:
            raise FileNotFoundError("no network here")

        monkeypatch.setattr(library, "download_pretrained", fail)
        with pytest.raises(
            CheckpointError, match=r"ViT-L-14-quickgelu openai: open_clip could not .*no network here"
        ):
            ClipEncoder(architecture="ViT-L-14-quickgelu", weights="openai").located()

    def test_an_unknown_tag_is_told_with_those_there_are(self) -> None:
        with pytest.raises(
            CheckpointError, match=r"no weights 'opnai' for ViT-L-14-quickgelu \(it has .*openai"
        ):
            ClipEncoder(architecture="ViT-L-14-quickgelu", weights="opnai").located()

    @pytest.mark.parametrize("path", ["./openai", "runs/a", "hf://owner/name", "clip.safetensors"])
    def test_a_path_is_left_as_it_is(self, path: str) -> None:
        assert ClipEncoder(architecture="ViT-L-14-quickgelu", weights=path).located() == path
