"""Conditioner `transformer_text`. Oracles: the conformance kit; captions the test made; a run's own checkpoint."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

import diffloom
from diffloom import config
from diffloom.errors import DataError
from diffloom.kinds import ConditionInfo, DataInfo, ImageInfo, Setting, SpaceInfo
from diffloom.plugins import load_plugins
from diffloom.testing import check_component
from diffloom.training import train
from diffloom_text import TransformerText
from diffloom_text.learning import learned

SETTING = Setting(
    image=ImageInfo(height=8, width=8, channels=3), space=SpaceInfo(channels=3, height=8, width=8)
)
CAPTIONS = ("red heart", "green heart", "red moon at night", "green moon at night")
DATA = DataInfo(examples=4, captions={"prompt": CAPTIONS})
FIELDS = {"width": 12, "layers": 2, "heads": 2, "head_channels": 4, "length": 8, "vocabulary": 300}


def component(**changes):
    return TransformerText(**(FIELDS | changes))


def built(part):
    torch.manual_seed(0)
    return part.build(setting=SETTING, codec=None).eval()


def test_it_obeys_the_laws_of_its_kind():
    assert check_component(TransformerText) == []


class TestLearning:
    def test_the_vocabulary_is_the_captions(self):
        part = component(dropout=0.1).learn("prompt", DATA)
        assert part.tokenizer == learned(CAPTIONS, entries=300)
        assert 259 < part.vocabulary < 300
        assert part.learn("prompt", DATA) == part
        assert (
            component(dropout=0.1).learn("prompt", DataInfo(examples=4, captions={"prompt": CAPTIONS[::-1]}))
            == part
        )
        assert part.check("green moon") == part.parse("green moon") == "green moon"
        assert built(part).transformer.entries.weight.shape == (part.vocabulary, 12)

    def test_what_was_learned_travels_as_text(self):
        part = component().learn("prompt", DATA)
        assert TransformerText.model_validate_json(part.model_dump_json()) == part

    def test_data_without_such_captions(self):
        with pytest.raises(
            DataError, match=r"conditioners\.words: the data tell no captions called 'words'.*tell: prompt"
        ):
            component().learn("words", DATA)
        with pytest.raises(DataError, match="they tell: none at all"):
            component().learn("prompt", DataInfo(examples=4))
        known = component().learn("prompt", DATA)
        assert known.learn("prompt", DataInfo(examples=4)) == known

    def test_captions_that_are_too_long_are_counted(self):
        data = DataInfo(
            examples=3, captions={"prompt": ("red moon", "red" + " red" * 19, "moon" + " moon" * 29)}
        )
        with pytest.raises(DataError) as caught:
            component(length=10).learn("prompt", data)
        assert str(caught.value).startswith(
            "conditioners.prompt: 2 of 3 captions have more entries than `length` 10; the longest has 32: 'moon moon"
        )

    def test_a_caption_that_is_no_prompt_is_named(self):
        data = DataInfo(examples=2, captions={"prompt": ("red moon", " ")})
        with pytest.raises(DataError, match="the caption ' ': the prompt is empty"):
            component(length=20).learn("prompt", data)

    def test_too_small_a_vocabulary(self):
        with pytest.raises(DataError, match="at least 259 entries, not 200; set `vocabulary` higher"):
            component(vocabulary=200).learn("prompt", DATA)

    def test_weights_bring_their_own_vocabulary(self):
        with pytest.raises(
            DataError, match=r"the weights of ldm\.ckpt know a vocabulary of their own; set `tokenizer`"
        ):
            component(weights="ldm.ckpt").learn("prompt", DATA)

    def test_before_it_is_learned_the_network_is_there_and_reads_nothing(self):
        part = component()
        assert part.info(SETTING) == ConditionInfo(tokens=12)
        module = built(part)
        for use in (
            lambda: part.check("red"),
            lambda: part.parse("red"),
            lambda: module.encode(["red"]),
            lambda: module.null(1),
        ):
            with pytest.raises(ValueError, match="the vocabulary is not known: train on captioned data"):
                use()


class TestFile:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "vocab.txt"
        path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "heart"]))
        return path

    def test_its_content_replaces_its_name(self, path, tmp_path):
        part = component(tokenizer=str(path), vocabulary=7)
        assert json.loads(part.tokenizer)["model"]["type"] == "WordPiece"
        path.unlink()
        again = TransformerText.model_validate_json(part.model_dump_json())
        assert again == part
        assert built(again).encode(["Red heart"]).tokens_BLD.shape == (1, 8, 12)

    def test_home_and_mistakes(self, path, monkeypatch):
        monkeypatch.setenv("HOME", str(path.parent))
        assert component(tokenizer="~/vocab.txt") == component(tokenizer=str(path))
        with pytest.raises(ValidationError, match=r"nowhere\.txt: cannot be read"):
            component(tokenizer="nowhere.txt")
        with pytest.raises(ValidationError, match="not a tokenizer's JSON"):
            component(tokenizer="{}")
        with pytest.raises(
            ValidationError, match="the tokenizer has 7 entries; set `vocabulary` to that, or more"
        ):
            component(tokenizer=str(path), vocabulary=6)
        with pytest.raises(ValidationError, match="fill its `length` of 2"):
            component(tokenizer=str(path), length=2)

    def test_a_mask_needs_something_real(self, path):
        content = json.loads(component(tokenizer=str(path)).tokenizer) | {"post_processor": None}
        with pytest.raises(ValidationError, match="set `masked: false`"):
            component(tokenizer=json.dumps(content), masked=True)
        bare = component(tokenizer=json.dumps(content))
        assert built(bare).null(2).tokens_BLD.shape == (2, 8, 12)


class TestEncoding:
    @pytest.mark.parametrize("masked", [False, True])
    def test_tokens_are_the_transformers_of_filled_up_entries(self, masked):
        part = component(masked=masked).learn("prompt", DATA)
        module = built(part)
        condition = module.encode(["red moon", "green heart at night"])
        word = json.loads(part.tokenizer)["model"]["vocab"]
        red, moon, at, night = (word[f"Ġ{text}"] for text in ("red", "moon", "at", "night"))
        green, heart = word["Ġgreen"], word["Ġheart"]
        ids_BL = torch.tensor([[1, red, moon, 2, 0, 0, 0, 0], [1, green, heart, at, night, 2, 0, 0]])
        real_BL = torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0, 0]]).bool()
        wanted = module.transformer(ids_BL, real_BL if masked else None)
        assert torch.equal(condition.tokens_BLD, wanted)
        assert (condition.mask_BL is not None) == masked
        assert not masked or torch.equal(condition.mask_BL, real_BL)

    def test_the_null_condition_is_the_empty_prompt(self):
        module = built(component(masked=True).learn("prompt", DATA))
        null = module.null(3)
        assert torch.equal(
            null.tokens_BLD[0],
            module.transformer(
                torch.tensor([[1, 2, 0, 0, 0, 0, 0, 0]]), torch.tensor([[True] * 2 + [False] * 6])
            )[0],
        )
        assert null.mask_BL.tolist() == [[True] * 2 + [False] * 6] * 3

    def test_it_is_trained(self):
        module = built(component().learn("prompt", DATA)).train()
        module.encode(["red heart"]).tokens_BLD.square().sum().backward()
        assert all(weight.grad is not None for weight in module.parameters())


class TestInARun:
    TEXT = """
image: {{size: 8, channels: 3}}
conditioners:
  prompt: {{type: transformer_text, width: 12, layers: 1, heads: 2, head_channels: 4, length: 8, vocabulary: 400,
            dropout: 0.5}}
backbone: {{type: cross_attention_unet, channels: [8], blocks_per_level: 1, transformer_depth: [1], norm_groups: 4}}
schedule: {{type: linear, steps: 1000}}
prediction: epsilon
sampling: {{sampler: ddim, steps: 2, guidance: {{type: classifier_free, scale: 2}}}}
data: {{type: captioned_folder, path: "{path}"}}
train: {{steps: 3, batch_size: 4, lr: 1e-2, ema: {{decay: 0.5}}}}
"""

    @pytest.fixture
    def folder(self, tmp_path):
        pixels_NHWC = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
        for index, caption in enumerate(CAPTIONS):
            Image.fromarray(pixels_NHWC[index]).save(tmp_path / f"{index}.png")
            (tmp_path / f"{index}.txt").write_text(caption)
        lines = [json.dumps({"file": f"{i}.png", "caption": caption}) for i, caption in enumerate(CAPTIONS)]
        (tmp_path / "captions.jsonl").write_text("\n".join(lines))
        return tmp_path

    def test_the_checkpoint_alone_samples(self, folder, tmp_path_factory, monkeypatch):
        """The vocabulary is learned from the captions, trained with the network, and needs no data afterwards."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        plugins = load_plugins()
        run = tmp_path_factory.mktemp("runs") / "text"
        loaded = config.parse(self.TEXT.format(path=folder), name="text.yaml", registry=plugins.registry)
        train(loaded, run, plugins=plugins, device="cpu")
        for file in folder.iterdir():
            file.unlink()
        pipe = diffloom.load(run, device="cpu")
        part = pipe.document.conditioners["prompt"]
        assert part.tokenizer == learned(CAPTIONS, entries=400)
        raw = diffloom.load(run, device="cpu", weights="raw")
        before = built(part).transformer.entries.weight
        assert not torch.equal(raw.module["conditioners"]["prompt"].transformer.entries.weight, before)
        known = pipe.sample(prompt=["Red heart", "green moon"], seed=1)
        assert known.recipe["conditions"] == {"prompt": ["Red heart", "green moon"]}
        assert not torch.equal(known.tensor[0], pipe.sample(prompt="green heart", seed=1).tensor[0])
        # Another batch size sums in another order; eight steps of float32.
        assert torch.allclose(known.tensor[0], pipe.sample(prompt="red heart", seed=1).tensor[0], atol=1e-4)
        with pytest.raises(ValueError, match="prompt: the prompt has 11 entries"):
            pipe.sample(prompt="red " * 9)
