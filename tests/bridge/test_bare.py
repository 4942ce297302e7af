"""OpenAI's U-Nets alone in their files, as whole models. Oracle: diffusers' UNet2DModel with the same weights and its
DDPMScheduler, fed the same noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import diffloom
from diffloom.bridge import AmbiguousError, theirs_of
from diffloom.bridge.conversion import convert
from diffloom.bridge.export.exporting import export
from diffloom.condition import Condition
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom.process import CosineSchedule, Draws, LinearSchedule
from diffloom.registry import Registry
from diffloom_unet import UNet

SHAPE = (3, 8, 8)
ANSWERS = {"schedule": "linear", "image_size": "8", "heads": "2", "attention_order": "legacy"}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A small network of guided-diffusion's habits, by the names of its checkpoints, in a file."""

    def make(*, learn_variance: bool) -> Path:
        part = UNet(
            channels=(32, 64),
            blocks_per_level=1,
            attention_resolutions=(4,),
            heads=2,
            norm_eps=1e-5,
            embedding="scale_shift",
            resample="residual",
            downsample_padding="symmetric",
            time_cos_first=True,
            time_frequency_shift=0,
            learn_variance=learn_variance,
        )
        module = part.build(space=SpaceInfo(*SHAPE), condition=ConditionInfo())
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in module.parameters():  # the output's begin at 0
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        (bridge,) = [bridge for bridge in UNet.bridges() if bridge.format == "openai"]
        tensors = {name: tensor.contiguous().clone() for name, tensor in theirs_of(module, bridge).items()}
        save_file(tensors, tmp_path / "openai.safetensors")
        return tmp_path / "openai.safetensors"

    return make


@pytest.mark.parametrize(
    ("learn_variance", "variance"), [(True, "learned_range"), (False, "fixed_large")], ids=str
)
def test_it_is_drawn_from_as_it_was_published(write: Write, learn_variance: bool, variance: str) -> None:
    """guided-diffusion's flags: 250 steps of ancestral sampling, --learn_sigma by the channels, else sigma_large."""
    document = diffloom.load(
        write(learn_variance=learn_variance), device="cpu", assume={**ANSWERS, "schedule": "cosine"}
    ).document
    assert (document.variance.name, document.backbone.learn_variance) == (variance, learn_variance)
    assert (document.schedule, document.prediction.name) == (CosineSchedule(), "epsilon")
    assert (document.sampling.sampler.name, document.sampling.steps) == ("ddpm", 250)


def test_the_walk_is_diffusers(
    write: Write,
    diffusers: ModuleType,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every step of a learned variance, from OpenAI's file to ours and to diffusers' folder."""
    from diffusers.schedulers import scheduling_ddpm

    source, steps, n = write(learn_variance=True), 12, 2
    convert(source, tmp_path / "ours.safetensors", registry=registry, assume=ANSWERS)
    export(tmp_path / "ours.safetensors", tmp_path / "theirs", to="diffusers", registry=registry)
    unet = diffusers.UNet2DModel.from_pretrained(tmp_path / "theirs" / "unet").eval()
    scheduler = diffusers.DDPMScheduler.from_pretrained(tmp_path / "theirs" / "scheduler")
    assert (unet.config.out_channels, scheduler.config.variance_type) == (6, "learned_range")

    scheduler.set_timesteps(steps)
    draws = Draws.of(5, range(n))
    x_BCHW = draws.normal("prior", SHAPE)
    pipe = diffloom.load(source, device="cpu", assume=ANSWERS)
    moved = 0.0
    for step in pipe.stream(n=n, seed=5, steps=steps):
        noise_BCHW = draws.at(step.index).normal("step", SHAPE)
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *_, noise=noise_BCHW, **__: noise)
        assert step.t == scheduler.timesteps[step.index]
        with torch.no_grad():
            output_BCHW = unet(x_BCHW, scheduler.timesteps[step.index]).sample
        moved = max(moved, float(output_BCHW[:, 3:].std()))
        x_BCHW = scheduler.step(output_BCHW, scheduler.timesteps[step.index], x_BCHW).prev_sample
        # their table of ᾱ is float32, and 1 − ᾱ_t/ᾱ_s cancels in it
        torch.testing.assert_close(step.following_BCHW, x_BCHW, rtol=0, atol=1e-4)
    assert (step.index, step.next_level.is_clean) == (steps - 1, True)
    assert moved > 0.1, "the variances differ between pixels"


def test_it_samples_within_the_range_of_pictures(write: Write) -> None:
    """Its x₀ is clipped, and nothing is added to the last."""
    pipe = diffloom.load(write(learn_variance=True), device="cpu", assume=ANSWERS)
    pictures = pipe.sample(n=2, steps=5).tensor
    assert pictures.shape == (2, *SHAPE)
    assert pictures.abs().max() <= 1
    assert pictures.std() > 0.1


@pytest.mark.parametrize("said", [{}, {"schedule": "sigmoid"}], ids=["nothing", "another"])
def test_the_schedule_must_be_said(write: Write, said: dict[str, str]) -> None:
    rest = {name: answer for name, answer in ANSWERS.items() if name != "schedule"}
    with pytest.raises(
        AmbiguousError, match=r"which schedule(.|\n)*schedule=linear: .*1000(.|\n)*cosine:4000"
    ):
        diffloom.load(write(learn_variance=True), device="cpu", assume={**rest, **said})


@pytest.mark.parametrize(
    ("word", "schedule"),
    [
        ("cosine:4000", CosineSchedule(steps=4000)),
        ("linear:4000", LinearSchedule(steps=4000, beta_start=2.5e-5, beta_end=5e-3)),
    ],
)
def test_of_other_times_than_1000_it_must_be_said_how_the_network_was_shown_them(
    write: Write, word: str, schedule: Any
) -> None:
    """improved-diffusion's `_WrappedModel` multiplies them by 1000/4000, but for its networks by class."""
    source, answers = write(learn_variance=True), {**ANSWERS, "schedule": word}
    for wrong in ({}, {"rescale_timesteps": "perhaps"}):
        with pytest.raises(AmbiguousError, match=r"4000 times(.|\n)*rescale_timesteps=false: .* 0 … 3999"):
            diffloom.load(source, device="cpu", assume={**answers, **wrong})
    pipes = {
        said: diffloom.load(source, device="cpu", assume={**answers, "rescale_timesteps": said})
        for said in ("true", "false")
    }
    x_BCHW = torch.randn(2, *pipes["true"].document.space_info.shape)
    shown = {
        said: pipe.network(x_BCHW, torch.full((2,), t), Condition())
        for (said, pipe), t in zip(pipes.items(), (2000.0, 500.0), strict=True)
    }
    torch.testing.assert_close(shown["true"], shown["false"], rtol=0, atol=1e-6)
    for pipe in pipes.values():
        assert pipe.document.schedule == schedule
        assert next(iter(pipe.stream(n=1, steps=5))).t == 3999


def test_a_learned_variance_is_exported_for_the_sampler_that_uses_it(
    write: Write, tmp_path: Path, registry: Registry
) -> None:
    for sampler, exported in (("ddpm", True), ("ddim", False)):
        model = tmp_path / f"{sampler}.safetensors"
        convert(
            write(learn_variance=True),
            model,
            [f"sampling.sampler={sampler}"],
            registry=registry,
            assume=ANSWERS,
        )
        if exported:
            export(model, tmp_path / sampler, to="diffusers", registry=registry)
            assert diffloom.load(tmp_path / sampler, device="cpu").document.variance.name == "learned_range"
        else:
            with pytest.raises(CheckpointError, match="a learned variance and another sampler than ddpm"):
                export(model, tmp_path / sampler, to="diffusers", registry=registry)
