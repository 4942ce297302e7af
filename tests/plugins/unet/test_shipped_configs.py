"""The two shipped configurations of this network are what their first lines say. Oracle: Ho et al. 2020."""

from __future__ import annotations

import re

import pytest
import torch

from diffloom.config import Document, load, parse
from diffloom.plugins import load_registry


def parameters(document: Document) -> int:
    with torch.device("meta"):
        network = document.backbone.build(space=document.space_info, condition=document.condition_info)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("name", "count"), [("cifar10_ddpm", 35_746_307), ("image_folder", 113_673_219)])
def test_counts(name: str, count: int) -> None:
    resolved = load(f"diffloom:{name}", registry=load_registry())
    assert parameters(resolved.document) == count
    assert f"{count:,} parameters" in resolved.given


def test_cifar10_is_the_paper_s() -> None:
    """Section 4, appendix B, and the authors' code where the paper is silent (warm-up, clipping, variance)."""
    document = load("diffloom:cifar10_ddpm", registry=load_registry()).document
    train = document.train
    assert train is not None
    assert (train.steps, train.batch_size, train.lr, train.grad_clip) == (800_000, 128, 2e-4, 1)
    parts = [train.optimizer, train.lr_schedule, train.ema]
    assert [part.name for part in parts] == ["adamw", "constant", "exponential"]
    assert (train.optimizer.weight_decay, train.lr_schedule.warmup_steps) == (0, 5000)
    assert train.ema.model_dump() == {"decay": 0.9999, "warmup": False}
    assert document.schedule.model_dump() == {"steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
    names = [document.prediction, document.variance, document.objective, document.sampling.sampler]
    assert [part.name for part in names] == ["epsilon", "fixed_large", "simple", "ddpm"]
    assert (document.sampling.steps, document.sampling.clip) == (1000, 1.0)
    assert document.backbone.dropout == 0.1  # type: ignore[attr-defined]
    assert document.data.flip is True  # type: ignore[union-attr]


def test_image_folder_s_commented_parts_make_it_conditional() -> None:
    """As its first lines say: `#:` taken away, and the value behind it taken."""
    text = load("diffloom:image_folder", registry=load_registry()).given
    text, parts = re.subn(r"^#: ", "", text, flags=re.MULTILINE)
    text, values = re.subn(r"false +#: true", "true", text)
    assert (parts, values) == (3, 1)
    document = parse(text, name="image_folder.yaml", registry=load_registry()).document
    assert document.data.labels is True  # type: ignore[union-attr]
    assert document.sampling.guidance is not None
    assert parameters(document) == 113_673_219 + 3 * 512  # two classes and the null one, each of 4 · 128


def test_image_folder_s_small_variant() -> None:
    overrides = ["image.size=64", "backbone.channels=[128,256,256,256]"]
    document = load("diffloom:image_folder", overrides, registry=load_registry()).document
    assert parameters(document) == 35_746_307
