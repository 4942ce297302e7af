"""Pictures and sizes in a whole model. Oracle: the recipe, and what changes when the condition does."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from diffloom import config
from diffloom.assembly import assemble
from diffloom.errors import DiffloomError
from diffloom.pictures import read_recipe, save_png
from diffloom.plugins import load_registry
from diffloom.process import Draws

TEXT = """
image: {size: 8, channels: 3}
conditioners:
  image: {type: image, mask: true, through: space, dropout: 0.5}
  size: {type: size_crop, width: 8}
backbone: {type: unet, channels: [8, 8], blocks_per_level: 1, attention_resolutions: [], norm_groups: 4}
schedule: {type: linear, steps: 1000}
prediction: epsilon
sampling: {sampler: ddim, steps: 2, guidance: {type: classifier_free, scale: 3}}
"""


@pytest.fixture(scope="module")
def pipe():
    registry = load_registry()
    pipe = assemble(config.parse(TEXT, name="model.yaml", registry=registry).document, registry=registry)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in pipe.module.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return pipe


@pytest.fixture
def files(tmp_path):
    """A photograph and its mask."""
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    pixels_HWC = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels_HWC).save(photo)
    Image.fromarray(np.arange(64).reshape(8, 8) < 20).save(mask)
    return str(photo), str(mask)


def test_it_is_sampled_with_and_told(pipe, files, tmp_path):
    out = pipe.sample(image=files, seed=0)
    save_png(out.images[0], tmp_path / "out.png", recipe=out.recipe)
    told = read_recipe(tmp_path / "out.png")["conditions"]
    assert told == json.loads(json.dumps(out.recipe["conditions"]))
    assert told["image"][0]["file"] == files[0]
    assert told["size"] == [[8, 8, 0, 0, 8, 8]], "what nobody said is the model's own size"
    parsed = pipe.document.conditioners["image"].parse(",".join(files))
    assert torch.equal(out.tensor, pipe.sample(image=parsed, size=(8, 8), seed=0).tensor)
    for other in ({"size": (64, 64)}, {"image": (files[1], files[1])}, {"image": None}):
        assert not torch.equal(out.tensor, pipe.sample(**({"image": files, "seed": 0} | other)).tensor)


def test_mistakes_are_told_with_the_conditions_name(pipe, files):
    with pytest.raises(DiffloomError, match=r"image: gone\.png: no such file"):
        pipe.sample(image=("gone.png", files[1]))
    with pytest.raises(DiffloomError, match="size: expected 6 numbers"):
        pipe.sample(size=(1, 2, 3))
    with pytest.raises(DiffloomError, match="9×8 pixels, where the model reads 8×8"):
        pipe.sample(image=(np.zeros((9, 8, 3), np.uint8), np.zeros((9, 8), bool)))


def test_training_takes_arrays_from_data(pipe):
    """As a data plugin gives them: numbers in [-1, 1], channels first, and truth values for the mask."""
    pictures = [np.full((3, 8, 8), value, np.float32) for value in np.linspace(-1, 1, 16)]
    masks = [np.zeros((8, 8), bool)] * 16
    raw = {"image": list(zip(pictures, masks, strict=True)), "size": [(8, 8)] * 16}
    draws = Draws.of(0, range(16), step=3)
    concat_BCHW = pipe.conditioning.encode_for_training(raw, draws, device=torch.device("cpu")).concat_BCHW
    kept = concat_BCHW[:, 1:].flatten(1).any(1)
    assert 0 < kept.sum() < 16, "about half are dropped"
    assert torch.equal(concat_BCHW[kept, 1:], torch.from_numpy(np.stack(pictures))[kept])
    assert not concat_BCHW[:, 0].any()
