"""Conditioner `size_crop`. Oracles: diffusers' `get_timestep_embedding` of the same numbers, and the embedding inside
its SDXL network; the conformance kit."""

import importlib

import numpy as np
import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diffloom.kinds import ConditionInfo, ImageInfo, Setting, SpaceInfo
from diffloom.testing import check_component
from diffloom_clip.library import open_clip
from diffloom_image import SizeCrop

SETTING = Setting(
    image=ImageInfo(height=512, width=768, channels=3), space=SpaceInfo(channels=4, height=64, width=96)
)
TOLERANCE = 1e-6
"""Sines and cosines of equal phases; both compute them in float32 in the same order."""
pixels = st.integers(1, 4096)
corner = st.integers(0, 2048)


def encoded(part, raw):
    return part.build(setting=SETTING, codec=None).encode([part.check(raw)]).vector_BD


def test_it_obeys_the_laws_of_its_kind():
    assert check_component(SizeCrop) == []


class TestNumbers:
    @given(st.tuples(pixels, pixels, corner, corner, pixels, pixels))
    def test_the_base_models_vector(self, numbers):
        """Original size, corner, target size: the order of StableDiffusionXLPipeline's `_get_add_time_ids`."""
        ids = torch.tensor([numbers])
        wanted = get_timestep_embedding(ids.flatten(), 256, flip_sin_to_cos=True, downscale_freq_shift=0)
        ours = encoded(SizeCrop(), numbers)
        assert ours.shape == (1, 1536)
        assert (ours - wanted.reshape(1, 1536)).abs().max() <= TOLERANCE

    @given(st.tuples(pixels, pixels, corner, corner, st.floats(0, 10)))
    def test_the_refiners_vector(self, numbers):
        wanted = get_timestep_embedding(
            torch.tensor(numbers), 256, flip_sin_to_cos=True, downscale_freq_shift=0
        )
        ours = encoded(SizeCrop(last="aesthetic_score"), numbers)
        assert ours.shape == (1, 1280)
        assert (ours - wanted.reshape(1, 1280)).abs().max() <= TOLERANCE

    def test_it_is_what_the_network_of_sdxl_computes_inside(self):
        open_clip()  # first: it gets by a torchvision without its operators
        network = importlib.import_module("diffusers").UNet2DConditionModel(
            block_out_channels=(32, 32),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            mid_block_type=None,
            addition_embed_type="text_time",
            addition_time_embed_dim=16,
            projection_class_embeddings_input_dim=6 * 16 + 8,
        )
        numbers = (1024, 768, 0, 64, 896, 640)
        seen = {}
        network.add_embedding.register_forward_pre_hook(lambda _, args: seen.update(vector=args[0]))
        added = {"text_embeds": torch.zeros(1, 8), "time_ids": torch.tensor([numbers])}
        network(torch.zeros(1, 4, 8, 8), 3, torch.zeros(1, 2, 1280), added_cond_kwargs=added)
        ours = encoded(SizeCrop(width=16), numbers)
        assert (ours - seen["vector"][:, 8:]).abs().max() <= TOLERANCE

    def test_the_null_condition_is_zeros(self):
        null = SizeCrop().build(setting=SETTING, codec=None).null(2).vector_BD
        assert null.shape == (2, 1536)
        assert not null.any()


class TestSpelling:
    @pytest.mark.parametrize(
        ("raw", "numbers"),
        [
            ((1024, 768), (1024, 768, 0, 0, 1024, 768)),
            ([1024, np.int64(768), 3, 4, 5, 6], (1024, 768, 3, 4, 5, 6)),
            ({"original_size": (10, 20)}, (10, 20, 0, 0, 10, 20)),
            (
                {"original_size": [10, 20], "crop_top_left": (1, 2), "target_size": (3, 4)},
                (10, 20, 1, 2, 3, 4),
            ),
        ],
    )
    def test_ways_to_say_it(self, raw, numbers):
        assert SizeCrop().check(raw) == numbers
        assert SizeCrop().check(numbers) == numbers
        assert SizeCrop().parse(",".join(map(str, numbers))) == numbers

    def test_the_refiners_ways(self):
        part = SizeCrop(last="aesthetic_score")
        assert part.check((64, 32)) == part.parse("64,32") == (64, 32, 0, 0, 6.0)
        assert part.parse("64,32,1,2,5.5") == (64, 32, 1, 2, 5.5)
        spelled = {"original_size": (64, 32), "aesthetic_score": 2.5}
        assert part.check(spelled) == (64, 32, 0, 0, 2.5)

    def test_nothing_said_is_the_models_own_size(self):
        assert SizeCrop().default(SETTING) == (512, 768, 0, 0, 512, 768)
        assert SizeCrop(last="aesthetic_score").default(SETTING) == (512, 768, 0, 0, 6.0)

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            ((1, 2, 3), r"expected 6 numbers \(height, width, top, left, height, width\), or height, width"),
            ("64,32", "expected 6 numbers"),
            (None, "expected 6 numbers"),
            ((64, 0), "whole numbers of pixels from 1 to 16777215, not 0"),
            ((64, 32.0), "not 32.0"),
            ((64, True), "not True"),
            ((64, 2**24), "not 16777216"),
            ((64, 32, -1, 0, 64, 32), "from 0 to 16777215, not -1"),
            (
                {"size": (1, 2)},
                "expected original_size and, if need be, crop_top_left and target_size; got size",
            ),
            ({"original_size": (1, 2), "crop": (0, 0)}, "got original_size, crop"),
            ({"original_size": 64}, "original_size is a pair of numbers, not 64"),
            (
                {"original_size": (64, 64), "target_size": (64,)},
                r"target_size is a pair of numbers, not \(64,\)",
            ),
        ],
    )
    def test_mistakes(self, raw, message):
        with pytest.raises(ValueError, match=message):
            SizeCrop().check(raw)

    @pytest.mark.parametrize("score", [-0.1, 10.5, float("nan"), "6", True])
    def test_a_score_is_from_0_to_10(self, score):
        with pytest.raises(ValueError, match="a number from 0 to 10"):
            SizeCrop(last="aesthetic_score").check((64, 32, 0, 0, score))

    @pytest.mark.parametrize("text", ["", "a,b", "64", "64;32", "64,32,,"])
    def test_what_no_command_line_means(self, text):
        with pytest.raises(ValueError, match=f"expected .*; got {text!r}"):
            SizeCrop().parse(text)


def test_shapes_and_impossible_widths():
    assert SizeCrop().info(SETTING) == ConditionInfo(vector=1536)
    assert SizeCrop(last="aesthetic_score").info(SETTING) == ConditionInfo(vector=1280)
    with pytest.raises(ValidationError, match="give an even width"):
        SizeCrop(width=7)
