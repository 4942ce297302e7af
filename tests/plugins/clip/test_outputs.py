"""What a tower computes. Oracle: transformers' CLIPTextModel and CLIPTextModelWithProjection, weights shared."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from diffloom_clip import ClipEncoder, ClipText, ClipTextEncoder, ClipWords

PROMPTS = ["a red heart", "", "The quick brown fox jumps over 13 lazy dogs, doesn't it?", "word " * 70]
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
"""Values are of order 1 behind a normalisation; two orders of summing in float32 differ by some 1e-6."""


def ids(pad: str) -> torch.Tensor:
    words = ClipWords(context_length=77, pad=pad)
    return torch.tensor([words.tokens(prompt, chunks=1).rows[0] for prompt in PROMPTS])


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("pad", ["end", "zero"])
def test_every_way_of_reading_tokens_is_theirs(
    make_pair: Callable[..., Any], activation: str, pad: str
) -> None:
    """Behind the last block or the last but one, normalised or not."""
    their_norm = None
    for layer, final_norm, pick in [
        ("last", True, lambda hidden, norm: hidden[-1]),
        ("last", False, lambda hidden, norm: hidden[-2]),
        ("penultimate", False, lambda hidden, norm: hidden[-3]),  # what diffusers calls hidden_states[-2]
        ("penultimate", True, lambda hidden, norm: norm(hidden[-3])),
    ]:
        pair = make_pair({"layer": layer, "final_norm": final_norm}, hidden_act=activation)
        inner = getattr(pair.theirs, "text_model", pair.theirs)
        their_norm = inner.final_layer_norm
        wanted = pick(pair.hidden(ids(pad)), their_norm)
        ours = pair.ours(ids(pad))
        assert ours.pooled_NP is None
        torch.testing.assert_close(ours.tokens_NLD, wanted, **TOLERANCE)


def test_one_block_less_and_the_last_but_one_are_the_same(make_pair: Callable[..., Any]) -> None:
    """How diffusers keeps Stable Diffusion 2.x, against how the paper's checkpoint does."""
    pair = make_pair({"layer": "penultimate", "final_norm": True}, hidden_act="gelu")
    shorter = make_pair({"depth": 2}, hidden_act="gelu").ours
    shorter.load_state_dict({name: pair.ours.state_dict()[name] for name in shorter.state_dict()})
    torch.testing.assert_close(
        shorter(ids("zero")).tokens_NLD, pair.ours(ids("zero")).tokens_NLD, rtol=0, atol=0
    )


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("eos_token_id", [2, 49407])  # the older configurations' and the right one
@pytest.mark.parametrize("pad", ["end", "zero"])
def test_the_pooled_vector_is_theirs(
    make_pair: Callable[..., Any], activation: str, eos_token_id: int, pad: str
) -> None:
    """Always of the last block, whichever the tokens are of."""
    reads = {"layer": "penultimate", "final_norm": False, "pooled": True}
    pair = make_pair(reads, hidden_act=activation, eos_token_id=eos_token_id)
    ours = pair.ours(ids(pad))
    torch.testing.assert_close(ours.pooled_NP, pair.pooled(ids(pad)), **TOLERANCE)
    torch.testing.assert_close(ours.tokens_NLD, pair.hidden(ids(pad))[-3], **TOLERANCE)


def test_a_tower_is_the_text_half_of_open_clips_own(library: ModuleType) -> None:
    """Oracle: open_clip's CLIP with a picture half, its text features of the same ids."""
    torch.manual_seed(0)
    picture = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 32}
    text = {"width": 32, "heads": 4, "layers": 2}
    theirs = library.CLIP(embed_dim=24, vision_cfg=picture, text_cfg=text, quick_gelu=True).eval()
    encoder = ClipEncoder.model_validate(
        {"architecture": {**text, "embed_dim": 24, "quick_gelu": True}, "pooled": True}
    )
    ours = encoder.build()
    ours.text.load_state_dict({name: theirs.state_dict()[name] for name in ours.text.state_dict()})
    with torch.no_grad():
        wanted = theirs.encode_text(library.tokenize(PROMPTS))
        torch.testing.assert_close(ours(ids("zero")).pooled_NP, wanted, **TOLERANCE)


def test_the_pair_of_stable_diffusion_xl(
    make_pair: Callable[..., Any], make_tokenizer: Callable[..., Any]
) -> None:
    """Oracle: diffusers' StableDiffusionXLPipeline.encode_prompt with the same two models and transformers' tokens."""
    from diffusers import StableDiffusionXLPipeline

    reads = {"layer": "penultimate", "final_norm": False}
    first = make_pair({**reads, "pad": "end"}, hidden_act="quick_gelu")
    second = make_pair(
        {**reads, "pad": "zero", "pooled": True},
        hidden_act="gelu",
        hidden_size=40,
        intermediate_size=160,
        seed=1,
    )
    pipeline = StableDiffusionXLPipeline(
        vae=None,
        unet=None,
        scheduler=None,
        text_encoder=first.theirs,
        text_encoder_2=second.theirs,
        tokenizer=make_tokenizer(model_max_length=77),
        tokenizer_2=make_tokenizer(model_max_length=77, pad_token="!"),
    )
    prompts = [prompt for prompt in PROMPTS if prompt]
    with torch.no_grad():
        tokens, null_tokens, pooled, null_pooled = pipeline.encode_prompt(prompts, device="cpu")
    ours = ClipTextEncoder(towers=[first.ours, second.ours], null_condition="zeros")
    condition, null = ours.encode(prompts), ours.null(len(prompts))
    torch.testing.assert_close(condition.tokens_BLD, tokens, **TOLERANCE)
    torch.testing.assert_close(condition.vector_BD, pooled, **TOLERANCE)
    assert torch.equal(null.tokens_BLD, null_tokens)
    assert torch.equal(null.vector_BD, null_pooled)


def test_widths_add_up_as_in_stable_diffusion_xl() -> None:
    pair = ClipText(
        encoders=(
            ClipEncoder(architecture="ViT-L-14-quickgelu"),
            ClipEncoder(architecture="ViT-bigG-14", pooled=True),
        )
    )
    info = pair.info(None)
    assert (info.tokens, info.vector) == (2048, 1280)


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({"architecture": "ViT-L-14-quickgelu"}, 123_060_480),
        ({"architecture": "ViT-L-14-quickgelu", "pooled": True}, 123_650_304),
        ({"architecture": "ViT-B-32", "pooled": True}, 63_428_096),
        ({"architecture": "ViT-H-14", "pooled": True}, 354_032_640),
        ({"architecture": "ViT-H-14", "depth": 23}, 340_387_840),
        ({"architecture": "ViT-bigG-14", "pooled": True}, 694_659_840),
    ],
)
def test_published_counts(library: ModuleType, fields: dict[str, Any], parameters: int) -> None:
    """Oracle: transformers' and open_clip's own models, counted; the fifth is Stable Diffusion 2.x's in diffusers."""
    with torch.device("meta"):
        tower: nn.Module = ClipEncoder.model_validate(fields).build()
    assert sum(parameter.numel() for parameter in tower.parameters()) == parameters


def test_a_tower_built_without_memory_is_whole_once_it_is_filled() -> None:
    """Its causal mask is no weight, and must not stay on the meta device."""
    encoder = ClipEncoder.model_validate({"architecture": {"width": 16, "heads": 2, "layers": 2}})
    with torch.device("meta"):
        hollow = encoder.build()
    real = encoder.build()
    hollow.load_state_dict(real.state_dict(), assign=True)
    torch.testing.assert_close(hollow(ids("end")).tokens_NLD, real(ids("end")).tokens_NLD, rtol=0, atol=0)
