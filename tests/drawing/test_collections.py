"""Folders and archives of many images. Oracle: `Pipeline.sample` drawing the same ones at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffloom import Pipeline
from diffloom.drawing import Share
from diffloom.errors import DiffloomError, RunError
from diffloom.pictures import read_recipe

ASKED: dict[str, Any] = {"n": 7, "seed": 5, "steps": 2, "label": [3, 1, 4, 1, 5, 9, 2], "guidance": 2.0}


def pixels(folder: Path) -> np.ndarray:
    paths = sorted(folder.glob("*.png"))
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def drawn_units(pipe: Pipeline, target: Path, **options: Any) -> list[int]:
    """Draw, and say how many images each unit had that was drawn."""
    units: list[int] = []

    def note(count: int, drawn: bool) -> None:
        if drawn:
            units.append(count)

    pipe.sample_to(target, **{**ASKED, "batch_size": 2, "on_images": note, **options})
    return units


@pytest.fixture(scope="module")
def together(small_model: Pipeline) -> Any:
    """The images drawn two by two, as the collections' units are: equal to the last bit."""
    return small_model.sample(**ASKED, batch_size=2)


def test_a_folder_has_the_images_each_with_its_recipe(small_model, together, tmp_path) -> None:
    assert small_model.sample_to(tmp_path / "out", **ASKED, batch_size=2) is True
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"0000{row}.png" for row in range(7)] + ["samples.json"]
    assert np.array_equal(pixels(tmp_path / "out"), np.stack(together.images))
    for row in range(7):
        assert read_recipe(tmp_path / "out" / f"0000{row}.png") == json.loads(
            json.dumps(together.recipe_of(row))
        )


def test_an_archive_is_as_evaluators_read_it(small_model, together, tmp_path) -> None:
    """numpy's own reader; guided-diffusion's takes `arr_0` from the zip file by this name."""
    path = tmp_path / "samples.npz"
    assert small_model.sample_to(path, **ASKED, batch_size=2) is True
    with np.load(path) as archive:
        assert archive.files == ["arr_0", "arr_1", "samples.json"]
        assert isinstance(archive["samples.json"], bytes)  # no array, and nothing that would be unpickled
        assert archive["arr_0"].dtype == np.uint8
        assert np.array_equal(archive["arr_0"][..., 0], np.stack(together.images))
        assert archive["arr_1"].tolist() == ASKED["label"]
    with zipfile.ZipFile(path) as members:
        assert members.testzip() is None
        assert json.loads(members.read("samples.json"))["settings"]["images"] == 7
    assert [item.name for item in tmp_path.iterdir()] == ["samples.npz"]


@pytest.mark.parametrize("name", ["out", "samples.npz"])
def test_what_is_there_is_not_drawn_again(small_model, tmp_path, name: str) -> None:
    target = tmp_path / name
    stops = iter([False, True])
    assert drawn_units(small_model, target, stop=lambda: next(stops)) == [2, 2]
    assert not target.with_suffix(".npz").exists()
    assert drawn_units(small_model, target) == [2, 1]
    assert drawn_units(small_model, target) == []
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_images_are_the_same_to_the_last_bit_however_often_it_was_stopped(
    small_model, together, tmp_path
) -> None:
    """A unit keeps the size that it was begun with, also where another batch size is asked for later."""
    folder = tmp_path / "out"
    drawn_units(small_model, folder, stop=lambda: True)
    (folder / "00001.png").unlink()
    (folder / "00000.png").write_bytes((folder / "00000.png").read_bytes()[:-1])  # cut off
    small_model.sample_to(folder, **ASKED, batch_size=4)
    assert np.array_equal(pixels(folder), np.stack(together.images))


@pytest.mark.parametrize("name", ["out", "samples.npz"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_any_number_of_processes_draws_the_same(
    small_model, together, tmp_path, name: str, count: int
) -> None:
    """One after another here; the last one says that all is there."""
    told = [
        small_model.sample_to(tmp_path / name, **ASKED, batch_size=2, share=Share(index=index, count=count))
        for index in reversed(range(count))
    ]
    assert told == [False] * (count - 1) + [True]
    if name == "out":
        assert np.array_equal(pixels(tmp_path / name), np.stack(together.images))
    else:
        with np.load(tmp_path / name) as archive:
            assert np.array_equal(archive["arr_0"][..., 0], np.stack(together.images))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": 6}, "seed: 5 → 6"),
        ({"steps": 3}, "sampling.steps: 2 → 3"),
        ({"n": 6, "label": [3, 1, 4, 1, 5, 9]}, "images: 7 → 6"),
        ({"label": 3}, "conditions.label"),
        ({"label": [3, 1, 4, 1, 5, 9, 3]}, "conditions.label.sha256"),
        ({"guidance": [2.0] * 6 + [3.0]}, "sampling.guidance.scale"),
        ({"negative": {"label": 8}}, "negative.label: None → 8"),
    ],
)
@pytest.mark.parametrize("name", ["out", "samples.npz"])
def test_other_settings_are_refused_by_name(
    small_model, begun: dict[str, Path], *, name: str, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(RunError, match="was begun with other settings") as error:
        small_model.sample_to(begun[name], **{**ASKED, **changed})
    assert told in str(error.value)


@pytest.fixture(scope="module")
def begun(small_model: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder that was stopped, and an archive that is whole."""
    folder = tmp_path_factory.mktemp("begun")
    small_model.sample_to(folder / "out", **ASKED, batch_size=2, stop=lambda: True)
    small_model.sample_to(folder / "samples.npz", **ASKED, batch_size=4)
    return {name: folder / name for name in ("out", "samples.npz")}


def test_pictures_of_something_else_are_left_alone(small_model, tmp_path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "00002.png")
    np.savez(tmp_path / "other.npz", arr_0=np.zeros(3))
    with pytest.raises(RunError, match=r"has 00002\.png, and no samples\.json"):
        small_model.sample_to(tmp_path, **ASKED)
    with pytest.raises(RunError, match="does not say how it was drawn"):
        small_model.sample_to(tmp_path / "other.npz", **ASKED)


def test_one_process_at_a_time_has_a_share(small_model, tmp_path) -> None:
    """A POSIX lock is a process's own, so another process asks for it."""
    code = (
        "import sys; from pathlib import Path; from diffloom.drawing.place import Place\n"
        "from diffloom.drawing.share import Share\n"
        "Place(Path(sys.argv[1]), Share(index=int(sys.argv[2]), count=2)).__enter__()"
    )
    seen: list[subprocess.CompletedProcess[str]] = []

    def ask(count: int, drawn: bool) -> None:
        for index in ("0", "1"):
            words = [sys.executable, "-c", code, str(tmp_path / "out"), index]
            seen.append(subprocess.run(words, capture_output=True, text=True, check=False))

    small_model.sample_to(
        tmp_path / "out", n=1, steps=1, label=3, share=Share(index=0, count=1), on_images=ask
    )
    assert "another process is at work in it" in seen[0].stderr
    assert seen[1].returncode == 0, seen[1].stderr


def test_a_failure_to_write_is_told(small_model, tmp_path, monkeypatch) -> None:
    def full(self: Image.Image, target: Path, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DiffloomError, match="cannot write the picture: No space left on device"):
        small_model.sample_to(tmp_path / "out", **ASKED, batch_size=2)


def test_a_disk_that_fills_while_an_archive_is_drawn(small_model, tmp_path, monkeypatch) -> None:
    """What numpy raises for it has a text, and no number of the system's. What was drawn before stays, and counts."""
    save, refused = np.save, iter([False, True])

    def full(file: Any, values: np.ndarray, **options: Any) -> None:
        if next(refused):
            raise OSError("128 requested and 40 written")
        save(file, values, **options)

    target = tmp_path / "samples.npz"
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(
            RunError, match="cannot be written: 128 requested and 40 written; free some space"
        ):
            small_model.sample_to(target, **ASKED, batch_size=2)
    assert drawn_units(small_model, target) == [2, 2, 1]


def test_an_archive_is_the_same_to_the_last_byte(small_model, tmp_path, monkeypatch) -> None:
    """Drawn by one process, and by two an hour later."""
    drawn_units(small_model, tmp_path / "one.npz")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    for index in range(2):
        drawn_units(small_model, tmp_path / "two.npz", share=Share(index=index, count=2))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_batches_are_the_samples(small_model, together) -> None:
    parts = list(small_model.batches(**ASKED, batch_size=2))
    assert [len(part.tensor) for part in parts] == [2, 2, 2, 1]
    assert torch.equal(torch.cat([part.tensor for part in parts]), together.tensor)
    assert parts[3].recipe_of(0) == together.recipe_of(6)


def test_a_mistake_is_told_before_the_first_batch(small_model) -> None:
    with pytest.raises(DiffloomError, match="2 values for 7 samples"):
        small_model.batches(**{**ASKED, "label": [1, 2]})
