"""Training on a GPU. The oracles are the same run on the CPU, and the same run not killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

STEPS = 12


def trained(folder: Path, *overrides: str, device: str, resume: bool = False) -> Path:
    words = [
        "train",
        "diffloom:digits",
        "-o",
        str(folder),
        "--device",
        device,
        *(["--resume"] if resume else []),
    ]
    changes = [
        f"train.steps={STEPS}",
        "train.log_every=1",
        "train.checkpoint_every=6",
        "train.lr_schedule.warmup_steps=2",
        "train.sample_every=null",
        *overrides,
    ]
    subprocess.run([sys.executable, "-m", "diffloom", *words, *changes], check=True)
    return folder


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_the_losses_are_those_of_the_cpu(tmp_path: Path) -> None:
    gpu = trained(tmp_path / "gpu", "train.precision=fp32", device="cuda")
    cpu = trained(tmp_path / "cpu", "train.precision=fp32", device="cpu")
    torch.testing.assert_close(torch.tensor(losses(gpu)), torch.tensor(losses(cpu)), rtol=1e-3, atol=1e-4)


def test_halves_learn_alike(tmp_path: Path) -> None:
    whole = losses(trained(tmp_path / "fp32", "train.precision=fp32", device="cuda"))
    for precision in ("tf32", "bf16", "fp16"):
        found = losses(trained(tmp_path / precision, f"train.precision={precision}", device="cuda"))
        torch.testing.assert_close(torch.tensor(found), torch.tensor(whole), rtol=0.05, atol=0.02)


def test_compiled_blocks_learn_alike(tmp_path: Path) -> None:
    whole = losses(trained(tmp_path / "plain", "train.precision=fp32", device="cuda"))
    found = losses(
        trained(tmp_path / "compiled", "train.precision=fp32", "train.compile=true", device="cuda")
    )
    torch.testing.assert_close(torch.tensor(found), torch.tensor(whole), rtol=5e-3, atol=1e-3)


def test_a_resumed_run_is_the_run_that_was_not_stopped(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", device="cuda")
    parts = trained(tmp_path / "parts", device="cuda")
    newest = parts / "checkpoints" / f"step-{STEPS:08d}.safetensors"
    newest.unlink()
    trained(parts, device="cuda", resume=True)
    expected = load_file(whole / "checkpoints" / newest.name)
    for name, tensor in load_file(newest).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-6, msg=name)
