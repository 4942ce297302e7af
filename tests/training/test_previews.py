"""Samples drawn while training make a film: the same seeds and conditions each time. Oracle: their recipes."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from diffloom import Pipeline
from diffloom.kinds import DataInfo, Example
from diffloom.pictures import read_recipe
from diffloom.planning.live_bytes import LiveBytes
from diffloom.process import Step
from diffloom.training import Trained
from diffloom.training.previews import FEWEST, MOST, Previews

TrainTiny = Callable[..., Trained]


class Captioned:
    """Examples with a class and a caption, whose random choices show in the caption."""

    def __init__(self, classes: int, examples: int = 5) -> None:
        names = tuple(str(number) for number in range(classes))
        self.info = DataInfo(examples=examples, classes={"label": names} if classes else {})

    def __len__(self) -> int:
        return self.info.examples or 0

    def example(self, index: int, rng: np.random.Generator) -> Example:
        caption = f"caption {index}, words {rng.integers(1000)}"
        return Example(np.zeros((1, 8, 8), np.float32), {"label": 0, "prompt": caption})


def previews(examples: Captioned, *keys: str, seed: int = 0) -> Previews:
    """Of a model with these conditioners, none of which has a default."""
    plain = SimpleNamespace(default=lambda setting: None)
    document = SimpleNamespace(conditioners=dict.fromkeys(keys, plain), setting=None)
    pipeline: Any = SimpleNamespace(document=document)
    return Previews(pipeline, examples, seed=seed)


@pytest.mark.parametrize("classes", [1, 3, 10, 40, 200])
def test_every_class_in_turn_in_whole_rounds(classes: int) -> None:
    shown = previews(Captioned(classes), "label")
    labels = shown.conditions["label"]
    assert len(labels) == shown.count
    assert labels == [number % classes for number in range(shown.count)]
    assert shown.count <= MOST
    if classes <= MOST:
        assert shown.count >= FEWEST
        assert shown.count % classes == 0


def test_captions_are_those_of_the_first_examples_and_fixed() -> None:
    """Also where an example has several, of which one is drawn; two runs of a seed show the same."""
    shown = [previews(Captioned(0), "prompt", seed=seed).conditions["prompt"] for seed in (0, 0, 1)]
    assert shown[0] == shown[1] != shown[2]
    assert [caption.split(",")[0] for caption in shown[0]] == [f"caption {i % 5}" for i in range(FEWEST)]


def test_a_model_of_both_is_shown_both() -> None:
    conditions = previews(Captioned(3), "label", "prompt").conditions
    assert set(conditions) == {"label", "prompt"}
    assert len({len(values) for values in conditions.values()}) == 1


def test_the_sheets_of_a_run_show_the_same_again(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """Two sheets of one run: one recipe but for the weights, and other pictures."""
    folder = train_tiny(tmp_path / "run", "train.steps=20", "train.sample_every=10").folder
    sheets = sorted((folder / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["step-00000010.png", "step-00000020.png"]
    first, second = (read_recipe(sheet) for sheet in sheets)
    assert first == second
    assert first["conditions"]["label"] == [number % 2 for number in range(FEWEST)]
    pictures = [Image.open(sheet) for sheet in sheets]
    assert pictures[0].size == pictures[1].size
    assert pictures[0].tobytes() != pictures[1].tobytes()


def test_drawing_again_draws_the_same(small_model: Pipeline) -> None:
    examples: Any = Captioned(10)
    shown = Previews(small_model, examples, seed=0)
    one, other = (shown.draw(lambda step: None)[0] for _ in range(2))
    assert one.tobytes() == other.tobytes()


class _EnoughError(Exception):
    pass


@pytest.mark.parametrize("ends", [False, True])
def test_what_drew_them_leaves_no_memory_behind(small_model: Pipeline, *, ends: bool) -> None:
    """Byte for byte, also where drawing is cancelled. That a copy was there meanwhile is seen on the way."""
    shown = Previews(small_model, cast(Any, Captioned(10)), seed=0)
    live, meanwhile = LiveBytes(torch.device("cpu")), list[int]()

    def on_step(step: Step) -> None:
        meanwhile.append(live.live_bytes)
        if ends:
            raise _EnoughError

    weights = sum(weight.nbytes for weight in small_model.module.parameters())
    live.name("weights", [*small_model.module.parameters(), *small_model.module.buffers()])
    with live:
        shown.draw(lambda step: None)  # meets the schedule's tables
        small_model.forget_ready()
        before = live.live_bytes
        with pytest.raises(_EnoughError) if ends else nullcontext():
            shown.draw(on_step)
        gc.collect()
        after = live.live_bytes
    assert meanwhile[0] > before + weights / 2
    assert after == before
