"""`diffloom schedule`. Oracles: published constants; what the figure was given to draw, and the picture itself."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from diffloom.inspection.schedule_figure import schedule_figure
from diffloom.inspection.schedule_source import curves_from
from diffloom.plugins import load_registry

Invoke = Callable[..., Result]


def test_several_schedules_in_one_picture(tmp_path: Path, invoke: Invoke, run_folder: Path) -> None:
    path = tmp_path / "x.png"
    given = [
        run_folder,
        "{type: linear, steps: 100}",
        "diffloom/flow",
        "diffloom:cifar10_ddpm",
        "scaled_linear",
    ]
    result = invoke("schedule", "plot", *given, "-o", path)
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(path)
    with Image.open(path) as picture:
        assert picture.size == (1430, 825)  # 13 × 7.5 inches of 110 dots
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    # matplotlib's first five colours, one for each schedule
    for colour in ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)):
        assert (abs(pixels - colour).max(1) < 40).sum() > 100  # thin lines are blended with what they lie on


def test_every_panel_is_titled_and_has_its_units_and_curves() -> None:
    registry = load_registry()
    curves = [curves_from(text, registry=registry) for text in ("linear", "edm")]
    figure = schedule_figure(curves)
    *panels, legend = figure.axes
    assert [panel.get_ylabel() for panel in panels] == [
        "α(t)",
        "σ(t)",
        "log-SNR = log(α²/σ²)  [nats]",
        "β = σ²·(1 − SNR(t)/SNR(s))",
        "weight",
    ]
    assert all(panel.get_title() and panel.get_xlabel() for panel in panels)
    for index, one in enumerate(curves):
        drawn = [panel.lines[index].get_ydata() for panel in panels]
        due = [one.alpha, one.sigma, one.log_snr, one.beta, one.bound_weight]
        assert all(np.array_equal(a, b.numpy(), equal_nan=True) for a, b in zip(drawn, due, strict=True))
    names = [text.get_text() for text in legend.get_legend().get_texts()]
    assert names[:2] == [
        "linear\n(t from 0 to 999, 1000 times)",
        "edm\n(t from -1.554 to 1.096, cut into 1000 steps)",
    ]
    assert [panel.get_yscale() for panel in panels] == [
        "linear",
        "log",
        "linear",
        "log",
        "log",
    ]  # sigma to 80


def test_the_table_has_published_constants(invoke: Invoke) -> None:
    lines = invoke("schedule", "show", "scaled_linear", "--rows", 3).output.splitlines()
    assert lines[0].split() == ["time", "alpha", "sigma", "log-SNR", "beta"]
    first, _, last = ([float(number) for number in line.split()] for line in lines[1:])
    # Stable Diffusion's ends: ᾱ₁ = 0.99915, √ᾱ_T = 0.0682649, β from 0.00085 to 0.012
    assert first == pytest.approx(
        [0, 0.99915**0.5, 0.00085**0.5, np.log(0.99915 / 0.00085), 0.00085], rel=1e-7
    )
    assert last[:2] == pytest.approx([999, 0.0682649], rel=1e-6)
    assert last[4] == pytest.approx(0.012, rel=1e-7)


def test_a_schedule_that_depends_on_a_size_is_told_it(invoke: Invoke) -> None:
    words = ["schedule", "show", "{type: log_snr_shift, schedule: cosine}", "--rows", 3]
    refused = invoke(*words)
    assert refused.exit_code == 2
    assert "depends on the size of what is diffused" in refused.output
    shifted = [float(line.split()[3]) for line in invoke(*words, "--size", 256).output.splitlines()[1:]]
    plain = [
        float(line.split()[3])
        for line in invoke("schedule", "show", "cosine", "--rows", 3).output.splitlines()[1:]
    ]
    # Hoogeboom et al. 2023: log-SNR + 2·log(64/256)
    assert np.subtract(shifted, plain) == pytest.approx([2 * np.log(64 / 256)] * 3, abs=1e-6)


def test_a_schedule_s_name_is_the_schedule_where_a_folder_is_called_so(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cosine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert invoke("schedule", "show", "cosine").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cosinus"], "unknown schedule 'cosinus'; did you mean 'cosine'?"),
        (["{type: linear, steps: -1}"], "steps: must be greater than 0, got -1"),
        (["{type: linear, stepps: 1}"], "unknown key of diffloom/linear; did you mean 'steps'?"),
        (["{type: linear"], "not valid YAML"),
        ([""], "expected a schedule: a name, or a mapping with `type`"),
        (["[linear]"], "expected a schedule: a name, or a mapping with `type`; got"),
        (["diffloom:digit"], "no such shipped configuration; did you mean 'digits'?"),
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["diffloom:autoencoder_digits"], "is an autoencoder by itself"),
        (["linear", "-o", "x.jpg"], "give a .png file"),
        ([], "Missing argument 'SCHEDULE...'"),
    ],
)
def test_mistakes(
    words: list[str], message: str, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("schedule", "plot", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_one_error_names_the_command(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = invoke("schedule", "plot", "linear", "-o", tmp_path / "x.png")
    assert result.exit_code == 2
    assert "pip install 'diffloom[plots]'" in result.output
    assert invoke("schedule", "show", "linear").exit_code == 0
