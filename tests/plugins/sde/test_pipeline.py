"""The samplers from a pipeline: named as in YAML, with conditions and guidance, alone and in a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import diffloom
from diffloom import Pipeline
from diffloom.errors import ConfigError

SAMPLERS: dict[str, Any] = {
    "dpmpp_sde": "dpmpp_sde",
    "dpmpp_2m_sde": "dpmpp_2m_sde",
    "dpmpp_3m_sde": {"type": "dpmpp_3m_sde", "eta": 0.5},
    "sa_solver": {"type": "sa_solver", "predictor_order": 3, "tau": 0.7},
    "lcm": "lcm",
    "predictor_corrector": "predictor_corrector",
    "ode": {"type": "ode", "rtol": 1e-3, "atol": 1e-3},
}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_sample_2_is_the_same_alone(small_model: Pipeline, sampler: Any) -> None:
    """With labels and guidance of its own: to float32's rounding, which differs between batches of different size."""
    common = {"steps": 4, "sampler": sampler, "seed": 5}
    labels, scales = [3, 7, None], [1.0, 2.0, 3.0]
    together = small_model.sample(label=labels, guidance=scales, **common).tensor
    again = small_model.sample(label=labels, guidance=scales, batch_size=2, **common).tensor
    torch.testing.assert_close(together, again, rtol=0, atol=2e-4)
    alone = small_model.sample(
        **{**common, "seed": [(5, 1)], "label": [labels[1]], "guidance": [scales[1]]}
    ).tensor
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=2e-4)
    assert (together[0] - together[1]).abs().max() > 0.05


def test_repaint_keeps_its_half(small_model: Pipeline, tmp_path: Path) -> None:
    info = small_model.document.image.info
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (info.height, info.width), generator=generator, dtype=torch.uint8)
    mask = torch.zeros_like(pixels)
    mask[:, : info.width // 2] = 255
    for name, values in (("picture", pixels), ("mask", mask)):
        Image.fromarray(values.numpy()).save(tmp_path / f"{name}.png")
    sampler = {
        "type": "repaint",
        "picture": str(tmp_path / "picture.png"),
        "mask": str(tmp_path / "mask.png"),
        "jump_length": 2,
        "jump_n_sample": 2,
    }
    output = small_model.sample(label=[3, 4], seed=1, steps=6, sampler=sampler)
    wanted = pixels / 127.5 - 1
    kept = mask.bool()
    for picture in output.tensor:
        assert torch.equal(picture[0][kept], wanted[kept])
        assert not torch.equal(picture[0][~kept], wanted[~kept])
    assert output.recipe["sampling"]["sampler"]["type"] == "diffloom/repaint"


def test_repaint_of_another_size_is_told_before_anything_runs(small_model: Pipeline, tmp_path: Path) -> None:
    Image.new("L", (5, 5)).save(tmp_path / "small.png")
    sampler = {"type": "repaint", "picture": str(tmp_path / "small.png"), "mask": str(tmp_path / "small.png")}
    with pytest.raises(ConfigError, match="it has 5×5 pixels, and the model's pictures have"):
        small_model.sample(n=1, label=3, sampler=sampler)


def test_the_samplers_stand_in_a_file(configs: Path) -> None:
    """`diffloom.build` on a shipped file with each of them."""
    for name in SAMPLERS:
        pipe = diffloom.build(configs / "digits.yaml", [f"sampling.sampler={{type: {name}}}"], device="cpu")
        assert pipe.document.sampling.sampler.canonical == f"diffloom/{name}"
