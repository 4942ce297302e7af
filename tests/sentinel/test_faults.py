"""Faults that cost people weeks, each put into a sound run. Oracle: the fault: it is named, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from diffloom.conditioning import Conditioning
from diffloom.errors import NonFiniteLossError
from diffloom.training import opening
from diffloom.training.ema import Average

Run = Callable[..., Any]


def only(ran: Any, cause: str) -> str:
    """The text of the first finding, all being of this cause."""
    assert ran.causes == {cause}, ran.findings
    return str(ran.findings[0]["text"])


def test_the_sound_run_has_no_findings(run: Run) -> None:
    assert run().findings == []


def test_ema_frozen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Average, "update", lambda self, step: None)
    ran = run("train.steps=40")
    assert only(ran, "ema-frozen").startswith(
        "train.ema does not follow the weights: since step 0 they moved by 0."
    )
    assert [finding["step"] for finding in ran.findings] == [10]  # at the first look, and not told again


def test_a_further_ema_frozen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Average.update
    monkeypatch.setattr(
        Average, "update", lambda self, step: None if self.config.decay == 0.9 else update(self, step)
    )
    text = only(
        run("train.steps=20", "train.further_ema={fast: {type: exponential, decay: 0.9}}"), "ema-frozen"
    )
    assert text.startswith("train.further_ema.fast does not follow")


def test_ema_slower_than_the_run(run: Run) -> None:
    text = only(run("train.ema={decay: 0.9999, warmup: false}"), "ema-slow")
    assert "lower its decay or half-life, or raise train.steps" in text


def test_ema_of_nothing(run: Run) -> None:
    assert "it averages nothing" in only(run("train.ema={decay: 0.2}"), "ema-fast")


def test_an_average_switched_off_is_no_fault(run: Run) -> None:
    assert run("train.ema={decay: 0}").findings == []


def test_labels_shuffled(run: Run) -> None:
    text = only(
        run("data.shuffled=true", "train.steps=240", "train.batch_size=64", "train.sentinel.every=6"),
        "condition-uninformative",
    )
    assert "another example's label costs" in text
    assert "look whether label and pictures are those of the same examples" in text


def test_a_condition_that_is_not_read(run: Run) -> None:
    text = only(run("backbone.deaf=true", "train.steps=40"), "condition-ignored")
    assert text.startswith("conditioners.label: the network's output changes by 0 of its size")


def test_dropout_that_is_never_applied(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Conditioning, "encode_for_training", lambda self, raw, draws, device: self.encode(raw, device=device)
    )
    text = only(run("train.steps=60"), "never-dropped")
    assert "in all of 96 examples, where conditioners.label.dropout is 0.2" in text  # 0.2 · 96 > 15


def test_dropout_zero_where_guidance_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused when the file is read; here past that."""
    monkeypatch.setattr(import_module("diffloom.config.lint"), "RULES", ())
    text = only(run("conditioners.label.dropout=0", "train.steps=40"), "never-dropped")
    assert "conditioners.label.dropout is 0: it never learns the null condition" in text


def test_dropout_that_drops_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Conditioning,
        "encode_for_training",
        lambda self, raw, draws, device: self.encode(
            {name: [None] * len(values) for name, values in raw.items()}, device=device
        ),
    )
    assert "in none of" in only(run("train.steps=60"), "always-dropped")


def test_latents_unscaled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that a run is refused for at its start; here past that."""
    assert run("space={type: faulty/latents}", "train.steps=40").findings == []
    monkeypatch.setattr(opening, "require_unit_scale", lambda x0, channels: 1.0)
    text = only(run("space={type: faulty/latents, gain: 8.0}", "train.steps=40"), "latents-unscaled")
    assert text.startswith("space: latents have a standard deviation of 5.")  # 8 · √(0.6² + 0.3²) = 5.4


def test_pictures_unscaled(run: Run) -> None:
    text = only(run("data.brightest=127.5", "train.steps=40"), "pictures-unscaled")
    assert "and values belong in [-1, 1]" in text


@pytest.mark.parametrize("base", [1e-3, 3e-3], ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_learning_rate_a_hundred_times_too_high(run: Run, base: float, seed: int) -> None:
    text = only(
        run(f"train.lr={100 * base}", f"train.seed={seed}", "train.steps=60"), "learning-rate-too-high"
    )
    assert "lower train.lr (the rate was" in text


def test_a_starved_loader(run: Run) -> None:
    text = only(run("data.seconds_each=0.004", "train.batch_size=4"), "loader-starved")
    assert "raise train.workers (now 0)" in text


def test_a_dead_layer(run: Run) -> None:
    text = only(run("backbone.dead=true", "train.steps=60"), "dead-layer")
    assert text.startswith("backbone.second (ReLU): 100% of its units say the same for every example")


def test_a_layer_that_explodes(run: Run) -> None:
    text = only(run("backbone.loud=1e6", "train.steps=60"), "exploding-layer")
    assert text.startswith("backbone.times (Times): its outputs have a root mean square of")


def test_overflow_in_half_precision(run: Run) -> None:
    """1e6 is more than float16 holds: the layer is named, its inputs and what to do."""
    with pytest.raises(NonFiniteLossError) as caught:
        run("backbone.loud=1e6", "train.precision=fp16", "train.steps=80")
    told = str(caught.value)
    assert "The first module to overflow is backbone.times (Times): what enters it is at most" in told
    assert (
        "its output in float16 is not finite: float16 holds no more than 65504; set train.precision: bf16"
        in told
    )


def test_half_precision_that_holds(run: Run) -> None:
    assert run("train.precision=fp16", "train.steps=40").findings == []


def test_a_pixel_that_is_no_number(run: Run) -> None:
    with pytest.raises(
        NonFiniteLossError, match=r"The picture of example \d+ of the run \(row \d+ of its pass\) holds NaN"
    ):
        run("data.nan_at=5")
