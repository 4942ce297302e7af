"""`diffloom samplers bake-off`. Oracle: a Gaussian, for which every step of Euler's and Heun's method is a factor."""

import json
import math
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

import diffloom

Invoke = Callable[..., Result]

STD = 0.5
GAUSSIAN = f"""
image: {{size: 2, channels: 1}}
backbone: {{type: oracle, means: [[0.0]], std: {STD}}}
schedule: {{type: edm, sigma_min: 0.02, sigma_max: 20.0}}
prediction: edm
sampling: {{sampler: euler, steps: 10, spacing: karras}}
"""
MIXTURE = """
image: {size: 4, channels: 1}
conditioners: {label: {type: class_label, classes: 3, dropout: 0.1}}
backbone: {type: oracle}
schedule: {type: linear}
prediction: v
sampling: {sampler: ddim, steps: 10, spacing: karras, guidance: {type: classifier_free, scale: 2.0}}
"""


@pytest.fixture
def gaussian(tmp_path: Path) -> Path:
    path = tmp_path / "gaussian.yaml"
    path.write_text(GAUSSIAN)
    return path


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    path = tmp_path / "mixture.yaml"
    path.write_text(MIXTURE)
    return path


def errors_of(folder: Path, name: str) -> dict[int, float]:
    figures = json.loads((folder / "figures.json").read_text())
    (found,) = [item for item in figures["samplers"] if item["sampler"]["type"] == f"diffloom/{name}"]
    return {result["steps"]: result["error"] for result in found["results"]}


def grid(steps: int) -> list[float]:
    """Karras et al. 2022, eq. 5, then 0."""
    low, high = 0.02 ** (1 / 7), 20.0 ** (1 / 7)
    return [*((high + i / (steps - 1) * (low - high)) ** 7 for i in range(steps)), 0.0]


def slope(sigma: float) -> float:
    """dx/dsigma over x for data N(0, STD²)."""
    return sigma / (STD**2 + sigma**2)


def relative(factor: float) -> float:
    """How far the factor by which a method scales the first noise is off the true flow's, with the jump that all walks
    of this spacing end with."""
    flow = math.sqrt((STD**2 + 0.02**2) / (STD**2 + 20.0**2))
    return abs(factor / (flow * (1 - 0.02 * slope(0.02))) - 1)


def euler_error(steps: int) -> float:
    return relative(math.prod(1 + (b - a) * slope(a) for a, b in pairwise(grid(steps))))


def heun_error(steps: int) -> float:
    factor = 1.0
    for a, b in pairwise(grid(steps)):
        ahead = 1 + (b - a) * slope(a)
        factor *= ahead if b == 0 else 1 + (b - a) / 2 * (slope(a) + slope(b) * ahead)
    return relative(factor)


def test_errors_are_those_of_the_methods(gaussian: Path, tmp_path: Path, invoke: Invoke) -> None:
    out = tmp_path / "out"
    words = ["--samplers", "euler,heun", "--steps", "10,20,40", "-n", 3, "-o", out]
    result = invoke("samplers", "bake-off", gaussian, *words)
    assert result.exit_code == 0, result.output
    reference = json.loads((out / "figures.json").read_text())["reference"]
    assert reference["sampler"]["type"] == "diffloom/heun"
    assert (reference["steps"], reference["calls"]) == (640, 1279)
    # the two differ by the reference's own error, a third of what half its steps add, and by float32
    slack = reference["uncertainty"]
    assert 0 < slack < 1e-4
    for steps in (10, 20, 40):
        assert errors_of(out, "euler")[steps] == pytest.approx(euler_error(steps), abs=slack)
        assert errors_of(out, "heun")[steps] == pytest.approx(heun_error(steps), abs=slack)


def test_better_methods_win_at_equal_calls(gaussian: Path, tmp_path: Path, invoke: Invoke) -> None:
    words = ["--samplers", "euler,heun,lms", "--steps", "10,20,40", "-n", 3, "-o", tmp_path / "out"]
    lines = invoke("samplers", "bake-off", gaussian, *words).output.splitlines()
    table = lines.index(next(line for line in lines if line.startswith("deterministic samplers, best first")))
    assert [line.split()[0] for line in lines[table + 2 : table + 5]] == ["lms", "heun", "euler"]
    recommended = json.loads((tmp_path / "out" / "figures.json").read_text())["recommended"]
    assert recommended["sampler"] == {"type": "diffloom/lms", "solver_order": 4}
    errors = errors_of(tmp_path / "out", "lms")
    fewest = min((steps for steps in errors if errors[steps] <= 0.01), default=40)
    assert recommended["steps"] == fewest
    assert any(line.startswith(f"recommended: lms, {fewest} steps ({fewest} calls)") for line in lines)


def test_all_installed_samplers_are_there(mixture: Path, tmp_path: Path, invoke: Invoke) -> None:
    out = tmp_path / "out"
    words = ["--steps", "2,4", "--reference-steps", 32, "-n", 3, "--label", 1, "-o", out]
    result = invoke("samplers", "bake-off", mixture, *words)
    assert result.exit_code == 0, result.output
    figures = json.loads((out / "figures.json").read_text())
    ran = {item["sampler"]["type"]: item for item in figures["samplers"]}
    registry = diffloom.build(mixture).registry
    installed = {component.canonical for component in registry.of_kind("sampler")}
    assert installed == ran.keys() | figures["left_out"].keys()
    assert "required" in figures["left_out"]["diffloom/repaint"]  # it needs a picture to complete
    for item in ran.values():
        assert [result["error"] is None for result in item["results"]] == [item["stochastic"]] * len(
            item["results"]
        )
    for name, component in ((c.canonical, c) for c in registry.of_kind("sampler") if c.canonical in ran):
        due = {steps: component().calls(steps) for steps in (2, 4)}
        for result in ran[name]["results"]:
            assert due[result["steps"]] in (result["calls"], None), name
    with Image.open(out / "bake_off.png") as picture:
        assert picture.size[0] > 1000


def test_a_run_with_its_conditions(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    words = ["--samplers", "ddim,ddpm", "--steps", "2,3", "--reference-steps", 6, "-n", 3]
    asked = ["--label", 7, "--label", 1, "--guidance", 3, "--seed", 5, "-o", tmp_path / "out"]
    result = invoke("samplers", "bake-off", run_folder, *words, *asked)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures["asked"]["conditions"] == {"label": [7, 1, 7]}
    assert figures["weights"] == diffloom.load(run_folder, device="cpu").weights_digest
    assert {item["sampler"]["type"] for item in figures["samplers"]} == {"diffloom/ddim", "diffloom/ddpm"}
    # the model has one prediction for both: with the reference's own grid there would be no error
    assert errors_of(tmp_path / "out", "ddim")[3] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--samplers", "eulr"], "unknown sampler 'eulr'; did you mean 'euler'?"),
        (["--steps", "5,x"], "'5,x': write numbers of steps with commas, such as 5,10,20"),
        (["--steps", "0"], "write numbers of steps with commas"),
        (["--spacing", "karas"], "unknown spacing 'karas'; did you mean 'karras'?"),
        (["-n", "2"], "Invalid value for '-n'"),
        (
            ["--reference-steps", "20"],
            "20 steps are no reference for walks of 40; give more, or smaller --steps",
        ),
        (["--samplers", "repaint"], "none of these samplers suits this model: diffloom/repaint"),
        (["--label", "3"], "No such option '--label'"),
    ],
)
def test_mistakes(gaussian: Path, tmp_path: Path, invoke: Invoke, words: list[str], message: str) -> None:
    result = invoke("samplers", "bake-off", gaussian, "-o", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_more_steps_than_times(mixture: Path, tmp_path: Path, invoke: Invoke) -> None:
    result = invoke("samplers", "bake-off", mixture, "--steps", "10,2000", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "2000 steps are more than the 1000 times of diffloom/linear" in result.output


def test_an_untrained_model_is_refused(tmp_path: Path, invoke: Invoke) -> None:
    result = invoke("samplers", "bake-off", "diffloom:digits", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "the weights of diffloom/unet are random until it is trained" in result.output


def test_without_matplotlib_one_error_names_the_command(
    gaussian: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = invoke("samplers", "bake-off", gaussian, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "pip install 'diffloom[plots]'" in result.output


def test_the_conditions_of_a_configuration_are_options(mixture: Path, invoke: Invoke) -> None:
    assert "--label" in invoke("samplers", "bake-off", mixture, "--help").output
    assert "--label" in invoke("samplers", "bake-off", "diffloom:digits", "--help").output
    assert "--label" not in invoke("samplers", "bake-off", "--help").output
