"""Class names that the data will teach. Oracle: the message, with data and without."""

import pytest

from diffloom import config
from diffloom.errors import ConfigError
from diffloom.plugins import load_registry

MODEL = {
    "image": {"size": 8, "channels": 1},
    "conditioners": {"label": {"type": "class_label", "dropout": 0.1}},
    "backbone": {"type": "unet", "channels": [8], "attention_resolutions": [], "norm_groups": 4},
    "schedule": "cosine",
    "prediction": "epsilon",
    "sampling": {"sampler": "ddim", "steps": 2, "guidance": {"type": "classifier_free", "scale": 2.0}},
}


def test_a_file_with_data_may_leave_the_classes_to_them() -> None:
    resolved = config.load({**MODEL, "data": "digits"}, registry=load_registry())
    assert resolved.document.conditioners["label"].model_dump()["classes"] is None


def test_without_data_nobody_would_ever_know_them() -> None:
    with pytest.raises(ConfigError, match=r"conditioners\.label: the classes are not known yet"):
        config.load(MODEL, registry=load_registry())


def test_building_untrained_needs_to_know_them_now() -> None:
    import diffloom

    with pytest.raises(ConfigError, match=r"conditioners\.label: the classes are not known yet"):
        diffloom.build({**MODEL, "data": "digits"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("backbone.attention_resolutions=[5]", r"^override .*attention_resolutions: no level has 5 pixels"),
        ("backbone.head_channels=3", r"8 channels cannot be split into heads of 3 channels"),
    ],
)
def test_shapes_the_backbone_refuses_are_known_without_building(change: str, message: str) -> None:
    known = {**MODEL, "conditioners": {"label": {"type": "class_label", "classes": 10, "dropout": 0.1}}}
    with pytest.raises(ConfigError, match=message):
        config.load(known, [change], registry=load_registry())
