"""`diffloom plan`. Oracles: the model itself, built; arithmetic; sizes of tensors counted by hand."""

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import diffloom
from diffloom import config
from diffloom.inference import compute
from diffloom.inference.gains import Gains
from diffloom.plugins import load_registry

pytestmark = pytest.mark.filterwarnings("error:Accessing the data pointer of FakeTensor")
"""Which torch says of whoever asks where weights lie that lie nowhere."""
Invoke = Callable[..., Result]
TITLES = ["In short", "Weights", "Training", "Memory of training, on cpu", "Sampling, 1 image", "Disk"]


def titles(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line for line in result.output.splitlines() if line and not line.startswith(" ")]


def page_of(result: Result) -> str:
    """The page with every line break taken back."""
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def weights() -> int:
    """Of the digits' network."""
    return sum(weight.numel() for weight in diffloom.build("diffloom:digits").module.parameters())


def test_the_page_of_a_shipped_model(invoke: Invoke, weights: int) -> None:
    result = invoke("plan", "diffloom:digits", "--device", "cpu")
    *told, network = titles(result)
    assert told == TITLES
    assert network.startswith("Network: ")
    page = page_of(result)
    assert f"backbone {weights:,} trained" in page
    assert "800 steps of 64 images = 51,200 images" in page
    assert f"{51_200 / 1_437:.3g} of 1,437 examples" in page
    assert f"{51_200 / weights:.3g} for each trained weight" in page
    assert f"{4 * weights / 1e6:.3g} MB weights" in page
    assert f"{8 * weights / 1e6:.3g} MB optimizer" in page  # Adam's two moments
    assert f"{4 * 4 * weights / 1e6:.3g} MB, of which 2 stay" in page  # weights, average, moments
    sampling = config.load("diffloom:digits", registry=load_registry()).document.sampling
    calls = sampling.sampler.calls(sampling.steps)
    assert f"{calls} calls, each of 2 views of an image" in page
    assert "and 4 sheets of samples" in page
    assert "64×4×4 2 ResidualBlock, SelfAttention" in page


def test_figures_for_programs(invoke: Invoke, weights: int) -> None:
    """The same settings, otherwise divided and checkpointed: what follows from these and nothing else changes."""
    words = ("plan", "diffloom:digits", "--device", "cpu", "--json", "-n", "3")
    plain = json.loads(invoke(*words).output)
    changed = json.loads(
        invoke(*words, "train.micro_batch_size=16", "train.gradient_checkpointing=true").output
    )
    assert plain["parts"] == {"backbone": {"trained": weights, "frozen": 0}}
    assert plain["network"]["weights"] == weights
    training, other = plain["training"], changed["training"]
    assert (training["passes"], training["network_calls"], other["passes"], other["network_calls"]) == (
        1,
        1,
        4,
        4,
    )
    assert training["flops"] == 3 * plain["network"]["flops"]
    assert other["flops"] == 4 * plain["network"]["flops"]
    assert training["images"] == 51_200
    assert training["epochs"] == pytest.approx(51_200 / 1_437)
    assert training["peak_bytes"] == sum(training["memory"].values()) > training["memory_otherwise"]
    assert sum(other["memory"].values()) < training["memory_otherwise"] < other["memory_otherwise"] * 2
    assert other["memory"]["gradients"] > training["memory"]["gradients"]  # those of the first pass
    assert training["disk"] == other["disk"]
    assert plain["sampling"] == changed["sampling"]
    assert plain["sampling"]["count"] == 3
    assert plain["unknown"] == []


def test_a_file_that_does_not_train(invoke: Invoke) -> None:
    result = invoke("plan", "diffloom:digits", "train=null", "data=null", "-n", "2", "--device", "cpu")
    told = titles(result)
    assert told[:3] == ["In short", "Weights", "Sampling, 2 images at once"]
    assert len(told) == 4


def test_an_autoencoder(invoke: Invoke) -> None:
    result = invoke("plan", "diffloom:autoencoder_digits", "--device", "cpu")
    assert [title.partition(":")[0] for title in titles(result)] == [*TITLES[:4], "Disk", "Network"]
    assert "encoder.stages" in result.output
    assert "decoder.stages" in result.output


def test_data_that_are_not_here_are_told_and_the_rest_is_known(invoke: Invoke, tmp_path: Path) -> None:
    data = f"data={{type: image_folder, path: {tmp_path}/nowhere}}"
    result = invoke("plan", "diffloom:digits", data, "--device", "cpu")
    assert titles(result)[-1] == "Not known"
    page = page_of(result)
    assert "nowhere: no such folder" in page
    assert "unknown: nobody knows before how many examples there are" in page
    assert "activations" in page


def test_a_model_that_learns_from_data_that_are_not_here(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("plan", "diffloom:emoji_text", f"data.path={tmp_path}/nowhere")
    assert result.exit_code == 2
    assert "nowhere: no such folder" in result.output


def test_the_largest_model_takes_no_memory(invoke: Invoke) -> None:
    """Thirty gigabytes of weights, of which none is made."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = invoke("plan", "diffloom:digits", "backbone.channels=[8192,16384]", "--json", "--device", "cpu")
    found = json.loads(result.output)
    assert sum(found["training"]["memory"].values()) > 4 * 4 * 8e9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1e6  # kilobytes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.yaml",), "nowhere.yaml"),
        (("diffloom:digits", "train.lr=fast"), "train.lr: expected a number, got 'fast'"),
        (("diffloom:digits", "backbone.chanels=[8]"), "did you mean 'channels'?"),
        (("diffloom:digits", "train.batch_size=2", "train.micro_batch_size=0"), "train.micro_batch_size"),
        (("diffloom:digits", "--device", "abacus"), "device 'abacus' cannot be used here"),
        (("diffloom:digits", "-n", "0"), "0 is not in the range"),
        (("diffloom:digits", "image.size=9"), "divisible"),
    ],
)
def test_mistakes_are_told_with_their_place(invoke: Invoke, words: tuple[str, ...], message: str) -> None:
    result = invoke("plan", *words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.fixture
def fast_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that computes twice as fast in bf16, for networks of any size."""
    monkeypatch.setattr(compute, "gains", lambda device, threads: Gains(convolution=2.0, product=2.0))
    monkeypatch.setattr(compute, "LARGE", 1)


def test_what_auto_is_here_is_planned_and_said(invoke: Invoke, fast_halves: None) -> None:
    """As a run settles it. Oracle: the plan of a file that names the precision."""
    asked = [
        invoke("plan", "diffloom:digits", "--device", "cpu", "--json", *words)
        for words in (("train.precision=auto",), ("train.precision=bf16", "sampling.precision=bf16"))
    ]
    auto, named = (json.loads(result.stdout) for result in asked)
    assert auto["training"]["memory"] == named["training"]["memory"]
    assert auto["sampling"]["memory"] == named["sampling"]["memory"]
    told = "not exact: an output is off by about 1 % of its deviation"
    for section in ("training", "sampling"):
        assert auto[section]["precision"] == "bf16"
        assert auto[section]["changes"] == {"precision": f"bf16, by auto; {told}"}
        assert named[section]["changes"] == {"precision": f"bf16; {told}"}


def test_what_else_changes_it_is_said(invoke: Invoke) -> None:
    words = ("sampling.compile=true", "sampling.offload=true", "sampling.precision=fp32")
    page = page_of(invoke("plan", "diffloom:digits", "train=null", "--device", "cpu", *words))
    assert (
        "precision fp32 compile memory is told as uncompiled; the first steps are slow offload changes nothing"
        in page
    )
