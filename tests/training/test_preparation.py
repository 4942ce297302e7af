"""Data and model are held against each other before the first step; each mistake is told with its remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diffloom import config
from diffloom.errors import ConfigError, DataError
from diffloom.plugins import Plugins
from diffloom.training import Trained, train
from diffloom.training.preparation import prepare

TrainTiny = Callable[..., Trained]


def test_missing_sections(tmp_path: Path, tiny: Path, plugins: Plugins) -> None:
    text = tiny.read_text()
    model_only = config.parse(text[: text.index("data:")], name="tiny", registry=plugins.registry)
    with pytest.raises(ConfigError) as caught:
        train(model_only, tmp_path / "run", plugins=plugins)
    assert str(caught.value) == (
        "data: training needs a `data:` section\ntrain: training needs a `train:` section"
    )
    assert not (tmp_path / "run").exists()


def test_no_examples(tmp_path: Path, train_tiny: TrainTiny) -> None:
    with pytest.raises(DataError, match="data: there are no examples"):
        train_tiny(tmp_path / "run", "data.examples=0")


def test_missing_condition(tmp_path: Path, train_tiny: TrainTiny) -> None:
    with pytest.raises(DataError) as caught:
        train_tiny(tmp_path / "run", "data.condition=lable")
    assert str(caught.value) == (
        "conditioners.label: the data give no condition 'label'; did you mean 'lable'? (they give: lable); "
        "name the conditioner after one of these, or remove it"
    )


def test_other_classes(tmp_path: Path, train_tiny: TrainTiny) -> None:
    with pytest.raises(DataError, match="label has 2 classes here and 3 in the data"):
        train_tiny(tmp_path / "run", "data.class_means=[0.0,0.1,0.2]")


def test_learning_from_data(tiny: Path, plugins: Plugins) -> None:
    prepared = prepare(config.load(tiny, registry=plugins.registry).document)
    label = config.plain.plain(prepared.document.conditioners["label"])
    assert label["classes"] == ["class-0", "class-1"]
    assert prepared.document.train == prepared.train
    assert len(prepared.examples) == 50


def test_unlabelled_use_of_labelled_data(tmp_path: Path, tiny: Path, train_tiny: TrainTiny) -> None:
    """A model without conditioners takes the pictures alone."""
    text = tiny.read_text()
    start, end = text.index("conditioners:"), text.index("backbone:")
    folder = train_tiny(tmp_path / "run", text=text[:start] + text[end:]).folder
    assert "conditioners: {}\n" in (folder / "config.resolved.yaml").read_text()


def test_what_data_leave_out_has_a_default_where_the_conditioner_has_one(
    tmp_path: Path, plugins: Plugins
) -> None:
    """Sizes, which data seldom tell: `size_crop` takes the model's picture."""
    source = {
        "image": {"size": 8, "channels": 1},
        "conditioners": {
            "label": {"type": "class_label", "dropout": 0.1},
            "size": {"type": "size_crop", "width": 8},
        },
        "backbone": {"type": "unet", "channels": [8], "norm_groups": 4, "attention_resolutions": []},
        "schedule": "linear",
        "prediction": "epsilon",
        "sampling": {"sampler": "ddim", "steps": 2},
        "data": "digits",
        "train": {"steps": 1, "batch_size": 2, "lr": 1e-3},
    }
    resolved = config.load(source, registry=plugins.registry)
    prepared = prepare(resolved.document)
    example = prepared.examples.example(3, np.random.default_rng(0))
    size = prepared.document.conditioners["size"]
    assert example.conditions == {"label": 3, "size": size.default(resolved.document.setting)}
    trained = train(resolved, tmp_path / "run", plugins=plugins)
    assert trained.step == 1
