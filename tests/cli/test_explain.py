"""`diffloom explain`. Oracles: published parameter counts and schedule constants, and the model itself, walked."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import diffloom
from diffloom.inspection.contest import counted_calls
from diffloom.inspection.page import Section, laid_out

Invoke = Callable[..., Result]
SECTIONS = [
    "What is diffused",
    "Conditions c",
    "Forward process: data become noise",
    "Network: F(x_t, t, c)",
    "Training",
    "Reverse process: noise becomes a sample",
    "Constant during a walk: computed once before it",
    "What is learned",
]


def page_of(result: Result) -> str:
    """The page with every line break taken back."""
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def titles(result: Result) -> list[str]:
    return [line for line in result.output.splitlines() if line and not line.startswith(" ")]


def test_a_published_model(invoke: Invoke) -> None:
    result = invoke("explain", "diffloom:cifar10_ddpm")
    assert titles(result) == SECTIONS
    page = page_of(result)
    assert "35,746,307 weights, learned" in page  # Ho et al. 2020, by diffusers' count
    # β from 1e-4 to 2e-2 over 1000: α² = 0.9999 at first, 4.0358e-05 at last
    assert "t = 0: x = 0.99995·x₀ + 0.01·ε" in page
    assert "t = 999: x = 0.00635282·x₀ + 0.99998·ε" in page
    assert "F = ε; x̂₀ = (x_t − σ·F)/α" in page
    assert "1000 network calls for a batch of samples (1000 steps)" in page
    assert "nothing can be asked of this model" in page


def test_a_run_is_explained_as_it_was_trained(run_folder: Path, invoke: Invoke) -> None:
    page = page_of(invoke("explain", run_folder))
    pipeline = diffloom.load(run_folder, device="cpu")
    count = sum(parameter.numel() for parameter in pipeline.backbone.parameters())
    assert f"backbone {count:,} weights, learned" in page
    assert "F = α·ε − σ·x₀" in page  # it predicts v
    assert "x̂₀ = u + 2·(x̂₀ − u)" in page
    assert page.index("guidance diffloom/classifier_free") < page.index("clip x̂₀ to [−1, 1]")
    assert "missing in 10% of training" in page


def test_the_network_calls_are_those_of_a_walk(run_folder: Path, invoke: Invoke) -> None:
    pipeline = diffloom.load(run_folder, device="cpu")
    for sampler, steps in (("ddim", 4), ("heun", 4)):
        page = page_of(
            invoke("explain", run_folder, f"sampling.sampler={sampler}", f"sampling.steps={steps}")
        )
        with counted_calls(pipeline.backbone) as calls:
            pipeline.sample(label=7, sampler=sampler, steps=steps)
            assert f"{calls()} network calls for a batch of samples ({steps} steps)" in page


def test_a_checkpoint_alone_is_enough(run_folder: Path, invoke: Invoke) -> None:
    (checkpoint,) = (run_folder / "checkpoints").glob("*.safetensors")
    assert invoke("explain", checkpoint).output == invoke("explain", run_folder).output


def test_a_latent_model_says_what_stays_fixed(invoke: Invoke) -> None:
    page = page_of(invoke("explain", "diffloom:digits_latent"))
    pipeline = diffloom.build("diffloom:digits_latent", ["space.weights=null"], device="cpu")
    count = sum(parameter.numel() for parameter in pipeline.module["space"].parameters())
    assert f"space {count:,} weights, fixed" in page
    assert "4×4×4 = 64 numbers" in page


def test_an_autoencoder(invoke: Invoke) -> None:
    result = invoke("explain", "diffloom:autoencoder_digits")
    assert titles(result) == ["Pictures and their latents", "Training", "What is learned"]
    page = page_of(result)
    module = diffloom.build("diffloom:digits_latent", ["space.weights=null"], device="cpu").module["space"]
    for side in ("encoder", "decoder"):
        count = sum(parameter.numel() for parameter in module.get_submodule(side).parameters())
        assert f"{side} {count:,} weights, learned" in page
    assert "lp + 0.001·regularisation" in page
    assert "600 steps of 64 examples, 38,400 in all" in page


def test_a_model_without_signal_at_its_end_and_one_that_corrects(tmp_path: Path, invoke: Invoke) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(
        "extends: diffloom:digits\nprediction: v\n"
        "schedule: {type: zero_terminal_snr, schedule: scaled_linear}\n"
        "sampling: {corrections: [{type: rescale, factor: 0.5, space: x0}]}\n"
    )
    page = page_of(invoke("explain", path))
    assert "t = 999: x = 0·x₀ + 1·ε (no signal is left)" in page
    assert "√β from √0.00085 to √0.012" in page  # the schedule inside the other
    order = [
        page.index(word)
        for word in ("guidance diffloom", "correction diffloom/rescale", "clip x̂₀", "ε̂ = (x_t")
    ]
    assert order == sorted(order)


def test_how_it_learns(tmp_path: Path, invoke: Invoke) -> None:
    """The rates are the cosine's own; half of an average of decay 0.99 is its last 69 steps, as 0.99⁶⁹ < ½ < 0.99⁶⁸."""
    path = tmp_path / "file.yaml"
    path.write_text(
        "extends: diffloom:digits\ntrain:\n  steps: 1100\n  lr: 0.01\n"
        "  lr_schedule: {type: cosine, warmup_steps: 100, floor: 0.2}\n"
        "  optimizer: {type: sgd, weight_decay: 0.01, momentum: 0.8}\n"
        "  ema: {type: power, sigma_rel: 0.1}\n"
        "  further_ema: {short: {type: exponential, decay: 0.99}, still: {decay: 1e-9, type: exponential}}\n"
    )
    page = page_of(invoke("explain", path))
    assert "optimiser diffloom/sgd: Stochastic gradient descent with momentum" in page
    assert "w ← (1 − lr·0.01)·w − lr·m with m ← 0.8·m + g" in page
    assert "not for biases, scales of norms and embeddings" in page
    # at step 550 0.449 of the fall is behind: 0.2 + 0.8·(1 + cos 0.449π)/2 = 0.6638
    assert (
        "0.0001 at step 1, 0.01 at step 100, 0.00664 at step 550, 0.002 at step 1,100: optimiser steps"
        in page
    )
    assert "half of it is of the last 69 steps; `--weights short` draws from it" in page
    assert "half of it is of the last step; `--weights still` draws from it" in page
    # the power average forgets as t^-(γ+1): half of it is after t = 1100·½^(1/7.937) = 1008.02
    assert "half of it is of the last 92 steps; samples are drawn from it" in page


def test_an_average_that_has_hardly_moved_is_told(tmp_path: Path, invoke: Invoke) -> None:
    words = ["train.ema.decay=0.9999", "train.ema.warmup=false"]
    page = page_of(invoke("explain", "diffloom:digits", *words))
    assert "at the end more than half of it is still the first weights" in page


def test_what_only_the_data_know_is_said_to_be_unknown(invoke: Invoke) -> None:
    page = page_of(invoke("explain", "diffloom:digits", "conditioners.label.classes=null"))
    assert "the networks cannot be built before their data are known" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["diffloom:digit"], "did you mean 'digits'?"),
        (["diffloom:digits", "sampling.sampler=dimm"], "unknown sampler 'dimm'; did you mean 'ddim'?"),
        (["diffloom:digits", "sampling.steps=2000"], "2000 steps are more than the 1000 times"),
        ([], "Missing argument 'FILE_OR_RUN'"),
    ],
)
def test_mistakes(words: list[str], message: str, invoke: Invoke) -> None:
    result = invoke("explain", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_a_folder_that_is_no_run(tmp_path: Path, invoke: Invoke) -> None:
    result = invoke("explain", tmp_path)
    assert result.exit_code == 2
    assert "is no run folder (it has no config.resolved.yaml)" in result.output


@pytest.mark.parametrize("width", [50, 110])
def test_no_line_is_wider_than_the_page(width: int) -> None:
    section = Section("A title")
    section.add("label", "word " * 60, "", "more")
    section.add("longer label", "text")
    lines = list(laid_out([section, section], width=width))
    assert max(map(len, lines)) <= width
    assert lines[0] == "A title"
    assert sum(line.startswith("  label") for line in lines) == 2
    assert " ".join(" ".join(lines).split()).count("word") == 120


@pytest.mark.parametrize("words", [["explain"], ["schedule", "plot"], ["samplers", "bake-off"]], ids=" ".join)
def test_help_imports_neither_torch_nor_matplotlib(words: list[str]) -> None:
    program = (
        "import sys; from diffloom.cli import main\n"
        f"sys.argv = ['diffloom', *{words!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert not {'torch', 'numpy', 'matplotlib'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: diffloom" in done.stdout
