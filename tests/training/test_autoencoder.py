"""Training an autoencoder. Oracles: latent-diffusion's loss written out, gradients included; the run never stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import diffloom
from diffloom import config, pictures
from diffloom.checkpoint import open_checkpoint
from diffloom.config import AutoencoderDocument
from diffloom.errors import ConfigError
from diffloom.plugins import Plugins
from diffloom.process import Draws, keyed_generator
from diffloom.training import Trained
from diffloom.training.feed import Batch
from diffloom.training.loop import Loop
from diffloom.training.preparation import prepare
from diffloom.training.reconstruction import ReconstructionTask, assemble_autoencoder

TrainTiny = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]

FILE = """\
image: {size: 8, channels: 1}
space: parts/codes
autoencoder:
  criteria:
    - lp
    - {type: parts/fixed, weight: 0.7}
    - {type: patch_adversarial, weight: 0.3, start_step: 5, layers: 1, channels: 4, norm_groups: 2}
  regularisation: 0.02
data: {type: parts/gaussian, examples: 30}
train:
  steps: 12
  batch_size: 4
  lr: 1e-2
  optimizer: {weight_decay: 0.1}
  log_every: 2
  sample_every: 6
  checkpoint_every: 3
"""


def task_of(plugins: Plugins, text: str = FILE) -> ReconstructionTask:
    document = config.parse(text, name="ae", registry=plugins.registry).document
    assert isinstance(document, AutoencoderDocument)
    examples = prepare(document).examples
    return ReconstructionTask(
        document=document, module=assemble_autoencoder(document, seed=0), examples=examples, seed=0
    )


def latent_diffusion(task: ReconstructionTask, images: torch.Tensor, draws: Draws) -> tuple[Any, Any]:
    """The loss of their autoencoders as they sum it: over all values of a picture, and its rival's, for a batch.

    nll = Σ (|x − x̂| + weight·perceptual), where the perceptual loss is one number for each picture, added to each of
    its values; autoencoder: nll/B + λ·weight·g + weight·KL/B with λ = ‖∇nll‖ / (‖∇g‖ + 10⁻⁴) at the last layer;
    discriminator: ½(relu(1 − D(x)) + relu(1 + D(x̂))).
    """
    space, (_, fixed, rival) = task.module["space"].eval(), task.module["criteria"]
    mean, log_variance = space.into(images).chunk(2, 1)
    z = mean + torch.exp(0.5 * log_variance) * draws.normal("posterior", mean.shape[1:])
    made = space.last(space.out(z).tanh())
    perceptual = (fixed.layer(images) - fixed.layer(made)).square().mean((1, 2, 3))
    values = (images - made).abs() + 0.7 * perceptual[:, None, None, None]
    nll = values.sum() / len(images)
    kl = -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum() / len(images)
    g = -rival.discriminator(made).mean()
    towards, against = (
        torch.autograd.grad(loss, space.last.weight, retain_graph=True)[0].norm() for loss in (nll, g)
    )
    autoencoder = nll + (towards / (against + 1e-4)).detach() * 0.3 * g + 0.02 * kl
    real, fake = rival.discriminator(images), rival.discriminator(made.detach())
    return autoencoder, 0.5 * (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean())


def test_the_loss_is_latent_diffusions_for_each_value(plugins: Plugins) -> None:
    """Their sum divided by the number of values, 64 here; its gradients, each side's own."""
    task = task_of(plugins)
    task.module.double().eval()
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    batch, draws = Batch((0, 1, 2, 3), images, {}), Draws.of(0, range(4))
    losses = task.losses(batch, draws, step=5)
    losses.each_B.mean().backward()
    sides = {"space": task.module["space"], "rival": task.module["criteria"][2]}
    came = {side: [p.grad.clone() for p in module.parameters()] for side, module in sides.items()}

    autoencoder, discriminator = latent_diffusion(task, images, draws)
    torch.testing.assert_close(losses.each_B.mean(), autoencoder / 64 + discriminator, rtol=1e-10, atol=0)
    theirs = {
        "space": torch.autograd.grad(autoencoder / 64, list(sides["space"].parameters()), retain_graph=True),
        "rival": torch.autograd.grad(discriminator, list(sides["rival"].parameters())),
    }
    for side, grads in theirs.items():
        for ours, their in zip(came[side], grads, strict=True):
            torch.testing.assert_close(ours, their, rtol=1e-8, atol=1e-12)


def test_an_example_costs_the_same_in_any_batch(plugins: Plugins) -> None:
    """Before the rival begins, which is balanced by the whole batch."""
    task = task_of(plugins)
    task.module.eval()
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    whole = task.losses(Batch((0, 1, 2, 3), images, {}), Draws.of(0, range(4)), step=4).each_B
    alone = task.losses(Batch((2,), images[2:3], {}), Draws.of(0, [2]), step=4).each_B
    torch.testing.assert_close(alone, whole[2:3], rtol=1e-5, atol=0)  # float32, convolved in other batches


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Path:
    """The folder of a run that was never stopped."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "whole", text=FILE).folder


def test_what_is_trained_and_kept(whole: Path) -> None:
    """The space and the rival learn; the fixed layer is stored once; all are in the averages' state."""
    checkpoint = open_checkpoint(whole / "checkpoints" / "step-00000012.safetensors")
    assert checkpoint.group("frozen").keys() == {"criteria.1.layer.weight", "criteria.1.layer.bias"}
    weights, averages = checkpoint.group("weights"), checkpoint.group("ema")
    assert weights.keys() == averages.keys()
    assert {name.split(".")[0] for name in weights} == {"space", "criteria"}
    first = open_checkpoint(whole / "checkpoints" / "step-00000009.safetensors").group("weights")
    assert [name for name in weights if torch.equal(weights[name], first[name])] == []
    text = (whole / "config.resolved.yaml").read_text()
    assert "  criteria:\n    - type: diffloom/lp\n" in text


def test_rows_tell_what_the_loss_is_made_of(whole: Path) -> None:
    """loss = lp + 0.7·fixed + 0.02·KL/64 before the rival begins; then its two losses come in."""
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    for row in rows[:2]:
        assert row["patch_adversarial"] == row["patch_adversarial_own"] == 0
        parts = row["lp"] + 0.7 * row["fixed"] + 0.02 * row["regularisation"] / 64
        assert row["loss"] == pytest.approx(parts, rel=1e-5)
    for row in rows[3:]:
        parts = row["lp"] + 0.7 * row["fixed"] + 0.02 * row["regularisation"] / 64
        parts += 0.3 * row["patch_adversarial"] + row["patch_adversarial_own"]
        assert row["loss"] == pytest.approx(parts, rel=1e-5)
        assert row["patch_adversarial_own"] > 0


def test_previews_are_originals_above_reconstructions(whole: Path) -> None:
    """Tiles of 8 pixels stand eightfold, 2 pixels apart: the first and third row are the data's first pictures."""
    with Image.open(whole / "samples" / "step-00000012.png") as sheet:
        recipe = json.loads(sheet.info[pictures.RECIPE])
        pixels = np.asarray(sheet)
    assert pixels.shape == (4 * 66 + 2, 8 * 66 + 2)
    assert recipe["reconstructed"] == list(range(16))
    made = []
    for index in range(16):
        row, column = 2 * (index // 8), index % 8
        tile = pixels[2 + row * 66 :, 2 + column * 66 :][:64:8, :64:8]
        noise = keyed_generator(0, index, 0, "preview").standard_normal((1, 8, 8))
        shown = np.round((np.clip(0.5 * noise[0].astype("float32"), -1, 1) + 1) * 127.5)
        assert np.abs(tile - shown).max() <= 1  # a half may be rounded to either side
        made.append(pixels[2 + (row + 1) * 66 :, 2 + column * 66 :][:64:8, :64:8] - tile.astype(float))
    assert all(np.abs(difference).max() > 2 for difference in made)


@pytest.mark.parametrize("stop", [2, 4, 5, 7, 9])
def test_stopped(
    *, tmp_path: Path, whole: Path, train_tiny: TrainTiny, outcome: Outcome, monkeypatch: Any, stop: int
) -> None:
    """Before the rival has begun, as it begins, and after: in the middle of a row, and on a checkpoint (3, 6, 9)."""
    take = Loop._step

    def step_until(loop: Loop, batch: Any) -> Any:
        if loop.state.step == stop:
            raise InterruptedError
        return take(loop, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", step_until)
        with pytest.raises(InterruptedError):
            train_tiny(tmp_path / "stopped", text=FILE)
    train_tiny(tmp_path / "stopped", text=FILE, resume=True)
    assert outcome(tmp_path / "stopped") == outcome(whole)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "space: parts/codes",
            "space: pixel",
            "space: diffloom/pixel has nothing to train; choose an autoencoder, such as autoencoder_kl, or remove "
            "`autoencoder:` for a diffusion model in this space",
        ),
        ("channels: 1}", "channels: 4}", "autoencoder.criteria[1]: 4 channels are too many"),
        (
            "layers: 1",
            "layers: 2",
            "autoencoder.criteria[2]: layers: 2 halves a picture to patches, for which each side needs 12 pixels, and "
            "these are 8×8; set layers: 1",
        ),
    ],
)
def test_what_cannot_be_trained(
    tmp_path: Path, train_tiny: TrainTiny, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train_tiny(tmp_path / "run", text=FILE.replace(old, new, 1))
    assert str(caught.value) == message
    assert not (tmp_path / "run" / "config.resolved.yaml").exists()


def test_it_is_no_model_to_sample(whole: Path, parts: Path) -> None:
    """Sampling says so; the network alone is there, with the averaged weights, and gives pictures back."""
    with pytest.raises(ConfigError, match=r"step-00000012\.safetensors: is an autoencoder by itself"):
        diffloom.load(whole, plugins=(str(parts),), device="cpu")
    codec = diffloom.load_component(whole, plugins=(str(parts),), device="cpu")
    averages = open_checkpoint(whole / "checkpoints" / "step-00000012.safetensors").group("ema")
    for name, tensor in codec.state_dict().items():
        assert torch.equal(tensor, averages[f"space.{name}"])
    assert codec.decode(codec.encode(torch.zeros(2, 1, 8, 8))).shape == (2, 1, 8, 8)


def test_two_of_a_criterion_have_names_of_their_own(plugins: Plugins) -> None:
    task = task_of(plugins, FILE.replace("- lp", "- lp\n    - {type: lp, p: 2}"))
    batch = Batch((0,), torch.zeros(1, 1, 8, 8), {})
    figures = task.losses(batch, Draws.of(0, [0]), step=1).figures
    assert figures.keys() == {
        "regularisation",
        "lp",
        "lp_2",
        "fixed",
        "patch_adversarial",
        "patch_adversarial_own",
    }
