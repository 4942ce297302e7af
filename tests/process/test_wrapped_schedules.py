"""Rescaled and shifted schedules, and those given as numbers: printed figures, diffusers, closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from pydantic import ValidationError
from safetensors.numpy import save_file

from diffloom.kinds import NoiseSchedule, Schedule, SpaceInfo
from diffloom.process import (
    BetasSchedule,
    CosineSchedule,
    FlowSchedule,
    LinearSchedule,
    LogSNRShiftSchedule,
    ScaledLinearSchedule,
    Shifted,
    TableSchedule,
    VESchedule,
    VPSchedule,
    ZeroTerminalSNRSchedule,
    without_terminal_signal,
)
from diffloom.testing.closed_forms import Quarter


def betas_of(table: TableSchedule) -> torch.Tensor:
    bar = torch.cat([torch.ones(1, dtype=torch.float64), table.alpha_bar])
    return 1 - bar[1:] / bar[:-1]


def test_printed_figures_of_zero_terminal_snr() -> None:
    """Of Stable Diffusion's, β₁ and index 998: ᾱ 1.967888e-07, β 0.7511370; of linear, there, ᾱ 4.213262e-09."""
    table = ZeroTerminalSNRSchedule(schedule=ScaledLinearSchedule()).build()
    betas, bar = betas_of(table), table.alpha_bar
    assert float(betas[0]) == pytest.approx(0.00085, rel=1e-12)
    assert (float(bar[-1]), float(betas[-1])) == (0.0, 1.0)
    assert float(bar[998]) == pytest.approx(1.967888e-07, abs=5e-14)
    assert float(betas[998]) == pytest.approx(0.7511370, abs=5e-8)
    linear = ZeroTerminalSNRSchedule(schedule=LinearSchedule()).build()
    assert float(linear.alpha_bar[998]) == pytest.approx(4.213262e-09, abs=5e-16)


@pytest.mark.parametrize(
    "component", [ScaledLinearSchedule(), CosineSchedule(steps=50)], ids=lambda c: c.name
)
def test_zero_terminal_snr_is_diffusers(component: Schedule) -> None:
    """Its own function in float64."""
    inner = component.build()
    assert isinstance(inner, TableSchedule)
    peer = (1 - rescale_zero_terminal_snr(betas_of(inner))).cumprod(0)
    ours = ZeroTerminalSNRSchedule(schedule=component).build().alpha_bar
    torch.testing.assert_close(ours, peer, rtol=1e-10, atol=1e-18)


def test_what_cannot_be_rescaled_is_refused() -> None:
    with pytest.raises(ValidationError, match="only a table is rescaled"):
        ZeroTerminalSNRSchedule(schedule=VPSchedule())
    with pytest.raises(ValidationError, match="ends without signal already"):
        ZeroTerminalSNRSchedule(schedule=ZeroTerminalSNRSchedule(schedule=LinearSchedule()))
    with pytest.raises(ValidationError, match="a single time"):
        ZeroTerminalSNRSchedule(schedule=LinearSchedule(steps=1))


class Exploded(Quarter):
    """A table that does not preserve the variance."""

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(super().alpha(t))


def test_rescaling_needs_a_preserved_variance() -> None:
    preserving: NoiseSchedule = Quarter()
    assert without_terminal_signal(preserving).alpha_bar[-1] == 0
    with pytest.raises(ValueError, match="only a schedule that preserves the variance"):
        without_terminal_signal(Exploded())


@pytest.mark.parametrize("component", [CosineSchedule(steps=100), VPSchedule(), VESchedule(), FlowSchedule()])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 128), (32, 128), (16, 16)])
def test_the_shift_is_that_of_simple_diffusion(component: Schedule, height: int, width: int) -> None:
    """log SNR + 2·log(base/size), at every time, on the same path."""
    space = SpaceInfo(channels=3, height=height, width=width)
    inner = component.build()
    shifted = LogSNRShiftSchedule(schedule=component, base=64).build(space=space)
    assert shifted.axis == inner.axis
    t = inner.axis.at(torch.linspace(0, 0.99, 12, dtype=torch.float64))
    if inner.axis.count:
        t = t.floor()
    wanted = inner.log_snr(t) + 2 * math.log(64 / math.sqrt(height * width))
    torch.testing.assert_close(shifted.log_snr(t), wanted, rtol=0, atol=1e-9)
    kept = {"ve": shifted.alpha(t), "flow": shifted.alpha(t) + shifted.sigma(t)}
    power = shifted.alpha(t) ** 2 + shifted.sigma(t) ** 2
    torch.testing.assert_close(kept.get(component.name, power), torch.ones_like(t), rtol=1e-12, atol=0)
    torch.testing.assert_close(shifted.time(shifted.log_snr(t)), t, rtol=1e-9, atol=1e-9)


def test_pooled_pictures_keep_their_signal() -> None:
    """What the shift is for: a 128² picture pooled to 64² has the schedule's own log-SNR, as noise averages out."""
    inner = CosineSchedule().build()
    large = LogSNRShiftSchedule(schedule=CosineSchedule(), base=64).build(space=SpaceInfo(3, 128, 128))
    (level, _) = large.levels([500])
    pooled_sigma = level.sigma / 2  # the mean of 2×2 independent normals
    own = float(inner.log_snr(torch.tensor(500)))
    assert 2 * math.log(level.alpha / pooled_sigma) == pytest.approx(own, rel=1e-9)


def test_a_shift_needs_a_size_and_a_path() -> None:
    with pytest.raises(ValueError, match="depends on the size"):
        LogSNRShiftSchedule(schedule=CosineSchedule()).build()
    with pytest.raises(ValueError, match=r"Quarter cannot be shifted.*PathSchedule"):
        Shifted.of(Quarter(), 1.0)
    zero = LogSNRShiftSchedule(schedule=FlowSchedule())
    assert zero.zero_snr
    assert not LogSNRShiftSchedule(schedule=VPSchedule()).zero_snr


@pytest.mark.parametrize("suffix", [".json", ".txt", ".npy", ".safetensors"])
def test_given_betas_are_read_from_files(suffix: str, tmp_path: Path) -> None:
    """The numbers are in the configuration from then on: the file is not needed again."""
    betas = LinearSchedule(steps=20).betas()
    path = tmp_path / f"betas{suffix}"
    array = np.array(betas)
    if suffix == ".json":
        path.write_text(json.dumps(betas))
    elif suffix == ".txt":
        path.write_text("\n".join(repr(beta) for beta in betas))
    elif suffix == ".npy":
        np.save(path, array)
    else:
        save_file({"betas": array}, path)
    component = BetasSchedule.model_validate({"values": str(path)})
    path.unlink()
    assert component.values == tuple(betas)
    assert component == BetasSchedule(values=tuple(betas))
    assert torch.equal(component.build().alpha_bar, LinearSchedule(steps=20).build().alpha_bar)
    assert not component.zero_snr
    assert BetasSchedule(values=(0.5, 1.0)).zero_snr


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("betas.csv", b"0.1,0.2", r"β are read from \.json"),
        ("none.json", None, "no such file"),
        ("map.json", b'{"betas": [0.1]}', "is no list of numbers: its JSON is not a list"),
        ("words.txt", b"0.1 two", "is no list of numbers"),
        ("cut.json", b"[0.1, 0.2", "is no list of numbers"),
        ("cut.npy", b"\x93NUMPY\x01", "is no list of numbers"),
        ("cut.safetensors", b"123", "is no list of numbers"),
        ("large.txt", b"0.1 1.5", "less than or equal to 1"),
        ("empty.txt", b"", "at least 1"),
    ],
)
def test_files_that_hold_no_betas_are_refused(
    name: str, content: bytes | None, told: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValidationError, match=told):
        BetasSchedule.model_validate({"values": str(tmp_path / name)})


def test_arrays_of_other_shapes_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "square.npy", np.full((2, 2), 0.1))
    save_file({"a": np.ones(1), "b": np.ones(1)}, tmp_path / "two.safetensors")
    for name, told in (("square.npy", "it has 2 dimensions"), ("two.safetensors", "it has 2 tensors")):
        with pytest.raises(ValidationError, match=told):
            BetasSchedule.model_validate({"values": str(tmp_path / name)})
