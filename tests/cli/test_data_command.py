"""`diffloom data inspect`. Oracle: data that the test makes, whose figures are known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import Result
from PIL import Image

Invoke = Callable[..., Result]
PARTS = Path(__file__).parents[1] / "training" / "parts.py"
MODEL = {
    "image": {"size": 16},
    "backbone": {"type": "unet", "channels": [8, 8], "norm_groups": 4, "attention_resolutions": []},
    "schedule": "linear",
    "prediction": "epsilon",
    "sampling": {"sampler": "ddim", "steps": 2},
}


def rows(result: Result) -> dict[str, list[str]]:
    """The page's rows: what stands behind each label."""
    assert result.exit_code == 0, result.output
    found: dict[str, list[str]] = {}
    label = ""
    for line in result.output.splitlines():
        if match := re.match(r"  (\S[^ ]*(?: [^ ]+)*)  +(\S.*)", line):
            label = match[1]
            found[label] = [match[2]]
        elif line.startswith("   "):
            found[label].append(line.strip())
    return found


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are as long as they may be, whatever terminal the tests run in."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight pictures, three of a cat and five of a dog: square, wide, and one that is too small."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "pictures"
    for number in range(8):
        animal = "cat" if number < 3 else "dog"
        (path / animal).mkdir(parents=True, exist_ok=True)
        height, width = (8, 8) if number == 7 else (32, 64) if number % 2 else (32, 32)
        Image.new("RGB", (width, height), (255, 0, 51)).save(path / animal / f"{number}.png")
    return path


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A configuration in a file."""

    def write(**sections: object) -> Path:
        path = tmp_path / "model.yaml"
        path.write_text(yaml.safe_dump({**MODEL, **sections}))
        return path

    return write


@pytest.mark.filterwarnings("ignore:.*are smaller than")
def test_a_labelled_folder(
    invoke: Invoke, written: Callable[..., Path], folder: Path, tmp_path: Path
) -> None:
    file = written(
        data={"type": "image_folder", "path": str(folder)},
        conditioners={"label": {"type": "class_label", "dropout": 0.1}},
    )
    sheet = tmp_path / "sheet.png"
    found = rows(invoke("data", "inspect", file, "-o", sheet))
    assert found["data"] == ["diffloom/image_folder"]
    assert found["number"] == ["8"]
    assert found["read"] == ["8 of 8 (100.0 %) that were tried"]
    assert found["as found"][0] == "3 different sizes; width to height 1 to 2, 1 in the middle"
    assert [line.split()[:2] for line in found["as found"][1:]] == [
        ["32×32", "4"],
        ["32×64", "3"],
        ["8×8", "1"],
    ]
    assert found["as shown"] == ["16×16, 3 channels"]
    # Three of eight lose one half.
    assert found["cropped away"] == [
        "18.8 % of a picture's area on the average, 50.0 % at most",
        "3 of 8 (37.5 %) lose more than a quarter",
    ]
    assert found["enlarged"] == ["1 of 8 (12.5 %), up to 2 times, which blurs what is learned"]
    assert found["values"] == [
        "-1 to 1",
        "channel 0: mean 1.000, standard deviation 0.000",
        "channel 1: mean -1.000, standard deviation 0.000",
        "channel 2: mean -0.600, standard deviation 0.000",
    ]
    assert found["label"] == [
        "2 classes of 3 to 5 examples",
        "cat  3  ██████████████",
        "dog  5  ████████████████████████",
        "diffloom/class_label takes 8 of 8 (100.0 %) that were read",
    ]
    assert found["size"][-1] == "no conditioner takes it"
    with Image.open(sheet) as picture:
        colours = np.asarray(picture).reshape(-1, 3)
    assert (colours == (255, 0, 51)).all(1).sum() == 8 * 144 * 144  # eight squares of that side
    assert (colours == 0).all(1).any()  # and text


@pytest.mark.filterwarnings("ignore:.*are smaller than")
def test_buckets_and_overrides(
    invoke: Invoke, written: Callable[..., Path], folder: Path, tmp_path: Path
) -> None:
    file = written(data={"type": "image_folder", "path": str(folder), "labels": False})
    buckets = "image.buckets={multiple: 4, largest_ratio: 2}"
    found = rows(invoke("data", "inspect", file, buckets, "-n", "3", "-o", tmp_path / "a.png"))
    assert found["read"] == ["3 of 3 (100.0 %) that were tried"]
    assert [line.split()[:2] for line in found["buckets"]] == [["20×12", "0"], ["16×16", "5"], ["12×20", "3"]]
    assert "label" not in found


def test_captions(invoke: Invoke, written: Callable[..., Path], folder: Path, tmp_path: Path) -> None:
    (folder / "dog" / "7.png").unlink()
    captions = ["a cat", "a cat", "a very long tale of a cat", *["a dog"] * 4]
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    lines = [json.dumps({"file": name, "caption": text}) for name, text in zip(names, captions, strict=True)]
    (folder / "captions.jsonl").write_text("\n".join(lines))
    prompt = {"type": "transformer_text", "width": 8, "layers": 1, "heads": 1, "vocabulary": 300, "length": 9}
    file = written(data={"type": "captioned_folder", "path": str(folder)}, conditioners={"prompt": prompt})
    usual = ("data", "inspect", file, "-o", tmp_path / "a.png")
    cross = (
        "backbone={type: cross_attention_unet, channels: [8, 8], transformer_depth: [0, 1], heads: 2, norm_groups: 4}",
    )
    found = rows(invoke(*usual, *cross))["prompt"]
    assert found[:4] == [
        "7 captions of 7 examples, 3 of them different",
        "5 to 25 characters, 5 in the middle; 2 to 7 words",
        "4 times 'a dog'",
        "2 times 'a cat'",
    ]
    told = " ".join(found[4:])
    assert "1 of 3 captions have more entries than `length` 9" in told
    assert "'a very long tale of a cat'" in told
    long = rows(invoke(*usual, *cross, "conditioners.prompt.length=40"))["prompt"]
    assert long[4:] == ["diffloom/transformer_text takes 3 of 3 (100.0 %) different captions"]


def test_what_cannot_be_read_or_used_is_told(
    invoke: Invoke, written: Callable[..., Path], tmp_path: Path
) -> None:
    """Data of a plugin, that know no sizes; a class that is met seldom; a condition that is missing."""
    file = written(
        image={"size": 4, "channels": 1},
        backbone="parts/perceptron",
        data={"type": "parts/gaussian", "class_means": [-0.5, 0.5], "examples": 10, "unreadable_at": 4},
        conditioners={
            "label": {"type": "class_label", "classes": 2},
            "size": {"type": "size_crop", "width": 4},
        },
    )
    found = rows(invoke("data", "inspect", file, "-p", PARTS, "-o", tmp_path / "a.png"))
    assert found["read"] == [
        "9 of 10 (90.0 %) that were tried",
        "not read: example 4: picture 4 cannot be read",
    ]
    assert found["as found"][1:] == ["(1, 4, 4): 9"]
    assert found["label"][0] == "2 classes of 4 to 5 examples, among the 9 that were read"
    assert found["size"] == ["the data do not give it; diffloom/size_crop takes the model's own value"]


def test_left_out_and_a_lost_end_of_a_prompt(
    invoke: Invoke, written: Callable[..., Path], folder: Path, tmp_path: Path
) -> None:
    (folder / "cat" / "0.png").write_bytes(b"")
    (folder / "dog" / "7.png").unlink()
    for path in folder.rglob("*.png"):
        path.with_suffix(".txt").write_text("one two three four five six seven eight nine ten")
    (folder / "dog" / "3.txt").write_text("short")
    clip = {
        "type": "clip_text",
        "overflow": "truncate",
        "encoders": [
            {"architecture": {"width": 8, "heads": 1, "layers": 1, "embed_dim": 4, "context_length": 9}}
        ],
    }
    file = written(
        data={"type": "captioned_folder", "path": str(folder), "captions": None, "unreadable": "skip"},
        conditioners={"prompt": clip},
        backbone={
            "type": "cross_attention_unet",
            "channels": [8, 8],
            "transformer_depth": [0, 1],
            "heads": 2,
            "norm_groups": 4,
        },
    )
    with pytest.warns(UserWarning, match="1 unreadable file skipped"):
        found = rows(invoke("data", "inspect", file, "-o", tmp_path / "a.png"))
    assert found["left out"][0] == "1 in all"
    assert found["left out"][1].startswith("cat/0.png: UnidentifiedImageError")
    told = " ".join(found["prompt"])
    assert (
        "diffloom/clip_text takes 2 of 2 (100.0 %) different captions and does not see all of 1 of 2 (50.0 %):"
        in told
    )
    assert "this would be cut off: 'eight nine ten'" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "data: there is nothing to inspect without a `data:` section"),
        (("data={type: image_folder, path: nowhere}",), "nowhere: no such folder"),
        (("-o", "sheet.jpg"), "give a .png file"),
    ],
)
def test_mistakes(invoke: Invoke, written: Callable[..., Path], words: tuple[str, ...], message: str) -> None:
    result = invoke("data", "inspect", written(), *words)
    assert result.exit_code == 2
    assert message in result.output + result.stderr
