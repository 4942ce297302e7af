"""`diffloom sample`. Oracle: the Python API drawing the same seeds."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import diffloom
from diffloom.pictures import read_recipe

Invoke = Callable[..., Result]


def test_one_image_is_the_api_s_image(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    path = tmp_path / "seven.png"
    result = invoke("sample", run_folder, "--label", 7, "--steps", 3, "--seed", "5:2", "-o", path)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(path)
    expected = diffloom.load(run_folder, device="cpu").sample(label=7, seed=[(5, 2)], steps=3)
    with Image.open(path) as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(expected.images[0]))


def test_a_negative_condition(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    path = tmp_path / "seven.png"
    words = ["--label", 7, "--negative-label", 1, "--guidance", 3, "--steps", 2, "-o", path]
    result = invoke("sample", run_folder, *words)
    assert result.exit_code == 0, result.output
    expected = diffloom.load(run_folder, device="cpu").sample(
        label=7, negative={"label": 1}, guidance=3.0, steps=2
    )
    with Image.open(path) as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(expected.images[0]))
    assert read_recipe(path)["negative"] == {"label": [1]}


def test_what_is_asked_of_speed(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    """And the recipe says it."""
    path = tmp_path / "seven.png"
    words = [
        "--label",
        7,
        "--steps",
        4,
        "--precision",
        "bf16",
        "--caching",
        "deep_features",
        "--no-offload",
        "-o",
        path,
    ]
    result = invoke("sample", run_folder, *words)
    assert result.exit_code == 0, result.output
    expected = diffloom.load(run_folder, device="cpu").sample(
        label=7, steps=4, precision="bf16", caching="deep_features"
    )
    with Image.open(path) as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(expected.images[0]))
    recipe = read_recipe(path)
    assert recipe["computed"]["dtype"] == "bfloat16"
    assert recipe["sampling"]["caching"]["type"] == "diffloom/deep_features"


def test_a_sheet_of_several(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    path = tmp_path / "sevens.png"
    words = [
        "--label",
        7,
        "-n",
        16,
        "--steps",
        2,
        "--guidance",
        2,
        "--sampler",
        "ddim",
        "--seed",
        0,
        "-o",
        path,
    ]
    assert invoke("sample", run_folder, *words).exit_code == 0
    with Image.open(path) as sheet:
        assert sheet.size == (4 * 66 + 2, 4 * 66 + 2)


def test_single_images_each_with_its_recipe(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    folder = tmp_path / "out"
    result = invoke("sample", run_folder, "--label", 3, "--label", 7, "-n", 3, "--steps", 2, "-o", folder)
    assert result.stdout.strip() == f"{folder}/ (3 images)"
    assert {path.name for path in folder.iterdir()} == {"00000.png", "00001.png", "00002.png", "samples.json"}
    paths = sorted(folder.glob("*.png"))
    recipes = [read_recipe(path) for path in paths]
    assert [recipe["conditions"] for recipe in recipes] == [{"label": [3]}, {"label": [7]}, {"label": [3]}]
    assert [recipe["seeds"] for recipe in recipes] == [[[0, 0]], [[0, 1]], [[0, 2]]]


def test_recipe_names_what_it_was_drawn_from(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    path = tmp_path / "x.png"
    assert (
        invoke("sample", run_folder, "--label", 1, "--steps", 2, "--sampler", "ddpm", "-o", path).exit_code
        == 0
    )
    recipe = read_recipe(path)
    pipe = diffloom.load(run_folder, device="cpu")
    assert recipe["diffloom"] == diffloom.__version__
    assert recipe["weights"] == pipe.weights_digest
    assert recipe["config"] == diffloom.config.digest(pipe.document)
    assert recipe["sampling"]["sampler"] == {"type": "diffloom/ddpm"}
    assert recipe["sampling"]["steps"] == 2


def test_raw_weights_are_other_weights(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    digests = set()
    for weights in ("ema", "raw"):
        path = tmp_path / f"{weights}.png"
        assert (
            invoke(
                "sample", run_folder, "--label", 1, "--steps", 1, "--weights", weights, "-o", path
            ).exit_code
            == 0
        )
        digests.add(read_recipe(path)["weights"])
    assert len(digests) == 2


def test_film(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    words = ["--label", 1, "--steps", 12, "-o", tmp_path / "x.png", "--film", tmp_path / "film.png"]
    assert invoke("sample", run_folder, *words).exit_code == 0
    with Image.open(tmp_path / "film.png") as film:
        assert film.size == (10 * 66 + 2, 2 * 66 + 2)


def test_help_knows_the_model(run_folder: Path, invoke: Invoke) -> None:
    assert "--label" in invoke("sample", run_folder, "--help").output
    assert "--label" in invoke("sample", "--steps", 3, run_folder, "--help").output
    assert "--label" not in invoke("sample", "--help").output


def test_a_checkpoint_alone_is_enough(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    (checkpoint,) = (run_folder / "checkpoints").glob("*.safetensors")
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(checkpoint.read_bytes())
    assert invoke("sample", alone, "--label", 7, "--steps", 1, "-o", tmp_path / "x.png").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--label", "12"], "Invalid value for '--label': label 12 is out of range"),
        (["--label", "seven"], "Invalid value for '--label'"),
        (["--labl", "7"], "No such option '--labl'"),
        (["--sampler", "ddimm"], "unknown sampler 'ddimm'; did you mean 'ddim'?"),
        (["--steps", "2000"], "2000"),
        (["--seed", "x"], "'x' is not a seed"),
        (["-n", "0"], "Invalid value for '-n'"),
        (["-o", "x.jpg"], "give a .png file for one sheet, a folder for single images, or a .npz"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
    ],
)
def test_mistakes(run_folder: Path, tmp_path: Path, invoke: Invoke, words: list[str], message: str) -> None:
    result = invoke("sample", run_folder, "-o", tmp_path / "x.png", *words)
    assert result.exit_code == 2
    assert message in result.output.replace("\n", " ")
    assert not list(tmp_path.iterdir())


def test_no_such_run(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("sample", tmp_path / "nowhere", "--steps", 1)
    assert result.exit_code == 2
    assert "nowhere" in result.output


def test_a_mistake_shows_no_traceback_and_exits_with_2(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "diffloom", "sample", str(tmp_path / "nowhere")]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_wrong_option_is_told_without_torch(run_folder: Path) -> None:
    code = (
        "import sys\nfrom diffloom.cli import diffloom\n"
        f"sys.argv = ['diffloom', 'sample', {str(run_folder)!r}, '--label', '12']\n"
        "try:\n    diffloom.main()\nexcept SystemExit as stop:\n    code = stop.code\n"
        "import json; print(json.dumps([code, 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [2, False]
