"""`diffloom calibrate` as its users run it. Oracles: the file's text before; what it resolves to; training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from diffloom import config
from diffloom.plugins import load_plugins
from diffloom.training import train

Invoke = Callable[..., Result]

AUTOENCODER = """\
image: {size: 8, channels: 1}
space: {type: autoencoder_kl, channels: [4, 8], norm_groups: 2, blocks_per_level: 1, latent_channels: 2}
autoencoder: {criteria: [lp]}
data: digits
train: {steps: 1, batch_size: 8, lr: 1e-3}
"""
MODEL = """\
# Digits in the latents of an autoencoder.
image: {size: 8, channels: 1}

space:
  type: autoencoder_kl      # 8×8 ↔ 4×4×2
  channels: [4, 8]
  norm_groups: 2
  blocks_per_level: 1
  latent_channels: 2
  weights: autoencoder      # diffloom train autoencoder.yaml -o autoencoder

conditioners:
  label: {type: class_label, dropout: 0.1}
backbone: {type: unet, channels: [8], blocks_per_level: 1, attention_resolutions: [], norm_groups: 4}
schedule: cosine
prediction: v
sampling: {sampler: ddim, steps: 2}
data: digits
train: {steps: 1, batch_size: 64, lr: 1e-3}   # a trial
"""


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an autoencoder, trained for a step."""
    folder = tmp_path_factory.mktemp("runs") / "autoencoder"
    plugins = load_plugins()
    train(
        config.parse(AUTOENCODER, name="a", registry=plugins.registry), folder, plugins=plugins, device="cpu"
    )
    return folder


@pytest.fixture
def model(tmp_path: Path, autoencoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The latent model's file, in the working folder, beside its autoencoder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "autoencoder").symlink_to(autoencoder)
    path = tmp_path / "latent.yaml"
    path.write_text(MODEL)
    return path


def refused(invoke: Invoke, *words: object) -> str:
    """What a command that must fail said; it left every file as it was."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = invoke("calibrate", *words)
    assert result.exit_code == 2, result.output
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    return result.output


def test_calibrate_and_train(invoke: Invoke, model: Path) -> None:
    result = invoke("calibrate", "latent.yaml")
    assert result.exit_code == 0, result.output
    *table, total, path = result.stdout.splitlines()
    assert [line.split()[0] for line in table] == ["channel", "0", "1"]
    assert re.fullmatch(r" +all +[\d.e-]+   over 1437 examples", total)
    assert path == "latent.yaml"
    assert result.stderr.splitlines()[-1] == (
        "latent.yaml: has the statistics now, as space.statistics; all else in it is as it was"
    )

    text = model.read_text()
    head, tail = MODEL.split("  weights: autoencoder      # diffloom train autoencoder.yaml -o autoencoder\n")
    assert text.startswith(head + "  weights: autoencoder      # diffloom")
    assert text.endswith(tail)
    statistics = yaml.safe_load(text)["space"]["statistics"]
    assert [f"{value:.5g}" for value in statistics["mean"]] == [line.split()[1] for line in table[1:]]
    assert [f"{value:.5g}" for value in statistics["std"]] == [line.split()[2] for line in table[1:]]
    assert (statistics["examples"], len(statistics["data"])) == (1437, 64)

    trained = invoke("train", "latent.yaml", "-o", "run", "--device", "cpu")
    assert trained.exit_code == 0, trained.output
    (said,) = re.findall(r"the latents' standard deviation is ([\d.]+)", trained.output)
    assert float(said) == pytest.approx(1, abs=0.05)  # of 256 pictures, where 1437 were measured

    again = invoke("calibrate", "latent.yaml")
    assert again.output == result.output
    assert model.read_text() == text


def test_beside_the_file(invoke: Invoke, model: Path, tmp_path: Path) -> None:
    """A new file in another folder, which says where the first one is."""
    (tmp_path / "sub").mkdir()
    beside = invoke("calibrate", "latent.yaml", "--examples", "100", "-o", "sub/calibrated.yaml")
    assert beside.exit_code == 0, beside.output
    assert "sub/calibrated.yaml: is new, and extends latent.yaml by its space.statistics\n" in beside.stderr
    assert model.read_text() == MODEL
    written = yaml.safe_load((tmp_path / "sub" / "calibrated.yaml").read_text())
    assert written["extends"] == "../latent.yaml"
    assert list(written) == ["extends", "space"]
    assert list(written["space"]) == ["statistics"]
    assert written["space"]["statistics"]["examples"] == 100
    assert invoke("config", "check", "sub/calibrated.yaml").exit_code == 0
    assert "exists already; remove it, or choose another" in refused(
        invoke, "latent.yaml", "-o", "sub/calibrated.yaml"
    )


def test_a_file_without_the_space_itself(invoke: Invoke, model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: latent.yaml\ntrain: {lr: 1e-4}\n")
    told = refused(invoke, "mine.yaml")
    assert told == (
        "error: mine.yaml: space: has no keys in this file itself; write its statistics into one that extends it, "
        "with -o mine_calibrated.yaml\n"
    )
    assert invoke("calibrate", "mine.yaml", "-o", "mine_calibrated.yaml").exit_code == 0
    shown = yaml.safe_load(invoke("config", "show", "mine_calibrated.yaml").output)
    assert shown["space"]["statistics"]["examples"] == 1437
    assert shown["train"]["lr"] == 1e-4


def test_aliases(invoke: Invoke, model: Path) -> None:
    """An alias as the space's last value says nothing of where it stands; elsewhere it is no obstacle."""
    text = MODEL.replace("size: 8", "size: &eight 8")
    model.write_text(text.replace("  norm_groups: 2", "  norm_groups: 2\n  rows: *eight"))
    assert invoke("calibrate", "latent.yaml", "--examples", "10").exit_code == 0
    model.write_text(text.replace("  weights: autoencoder ", "  weights: autoencoder\n  rows: *eight "))
    told = refused(invoke, "latent.yaml")
    assert (
        "its text cannot take statistics (aliases?); write them beside it with -o latent_calibrated.yaml"
        in told
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "  weights: autoencoder ",
            "  scale: 0.18215\n  weights: autoencoder ",
            "latent.yaml:10:10: space.scale: ",
        ),
        (
            "  weights: autoencoder ",
            "  # ",
            "space.weights: is not set, and latents of random weights mean nothing",
        ),
        ("  weights: autoencoder ", "  weights: nowhere ", "nowhere"),
        ("train: {steps: 1, batch_size: 64, lr: 1e-3}", "", "train: training needs a `train:` section"),
    ],
)
def test_refusals(*, invoke: Invoke, model: Path, old: str, new: str, told: str) -> None:
    assert old in MODEL
    model.write_text(MODEL.replace(old, new))
    assert told in refused(invoke, "latent.yaml")


def test_an_override_of_the_space(invoke: Invoke, model: Path) -> None:
    assert refused(invoke, "latent.yaml", "space.weights=other") == (
        "error: override 'space.weights=other': the statistics would not belong to the space as latent.yaml has it; "
        "write this into latent.yaml\n"
    )
    assert invoke("calibrate", "latent.yaml", "train.batch_size=32", "--examples", "64").exit_code == 0


def test_models_without_latents(invoke: Invoke, model: Path) -> None:
    assert refused(invoke, "diffloom:digits") == (
        "error: diffloom:digits:13:8: space: diffloom/pixel has no latents to calibrate\n"
    )
    Path("autoencoder.yaml").write_text(AUTOENCODER)
    assert "autoencoder.yaml: is an autoencoder by itself" in refused(invoke, "autoencoder.yaml")
    assert "no such file" in refused(invoke, "latnet.yaml")


def test_a_shipped_file_stays_as_it_is(invoke: Invoke, model: Path) -> None:
    assert refused(invoke, "diffloom:digits_latent").endswith(
        "space: is shipped and stays as it is; write beside it with -o digits_latent_calibrated.yaml\n"
    )


def test_the_help_says_which_file_is_written(invoke: Invoke) -> None:
    page = " ".join(invoke("calibrate", "--help").output.split())
    assert "are written into FILE itself as `space.statistics`, or with -o into a new file beside it" in page
    assert "A shipped configuration takes -o." in page


def test_a_link_stays_a_link(invoke: Invoke, model: Path, tmp_path: Path) -> None:
    """What it leads to is written, whole or not at all: nothing else is left in either folder."""
    (tmp_path / "shared").mkdir()
    shared = tmp_path / "shared" / "latent.yaml"
    model.rename(shared)
    model.symlink_to(shared)
    names = sorted(path.name for path in tmp_path.rglob("*.yaml*"))
    assert invoke("calibrate", "latent.yaml", "--examples", "10").exit_code == 0
    assert model.is_symlink()
    assert "statistics:" in shared.read_text()
    assert sorted(path.name for path in tmp_path.rglob("*.yaml*")) == names


def test_what_cannot_be_written_leaves_the_file_whole(
    invoke: Invoke, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: the very last step fails."""

    def full(path: Path, target: Path) -> Path:
        if target.name == "latent.yaml":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    replace = Path.replace
    monkeypatch.setattr(Path, "replace", full)
    assert "cannot be written: No space left on device" in refused(invoke, "latent.yaml", "--examples", "10")


def test_windows_text(invoke: Invoke, model: Path) -> None:
    """A byte order mark and carriage returns stay."""
    model.write_bytes(b"\xef\xbb\xbf" + MODEL.replace("\n", "\r\n").encode())
    assert invoke("calibrate", "latent.yaml", "--examples", "10").exit_code == 0
    content = model.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf# Digits")
    assert content.count(b"\n") == content.count(b"\r\n") == MODEL.count("\n") + 5
