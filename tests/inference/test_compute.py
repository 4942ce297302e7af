"""What is chosen. Oracles: measurements put in the place of the machine's, and the rule written out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffloom.errors import DiffloomError
from diffloom.inference import chosen_compute, compute, gains
from diffloom.inference.gains import Gains

CPU = torch.device("cpu")


def large(*layers: nn.Module) -> nn.Module:
    """A network of 6 million parameters that nobody calls, without memory."""
    with torch.device("meta"):
        return nn.ModuleList([*layers, nn.Conv2d(512, 1302, 3)])


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """(convolution, product, winograd=0): what the machine is taken to gain by bf16, and by Winograd's way."""
    monkeypatch.setattr(compute, "type_fault", lambda dtype, device: None)

    def measure(*found: float) -> None:
        monkeypatch.setattr(compute, "gains", lambda device, threads: Gains(*found))

    return measure


@pytest.mark.parametrize(
    ("convolution", "product", "dtype"),
    [
        (2.0, 2.0, torch.bfloat16),
        (1.31, 1.31, torch.bfloat16),
        (1.29, 1.29, torch.float32),
        (0.53, 2.7, torch.float32),
        (2.0, 0.0, torch.float32),
    ],
)
def test_auto_is_bf16_where_that_was_measured_clearly_faster(
    measured: Callable[..., None], convolution: float, product: float, dtype: torch.dtype
) -> None:
    measured(convolution, product)
    assert chosen_compute("auto", large()).dtype == dtype


def test_layers_weigh_by_their_parameters(measured: Callable[..., None]) -> None:
    """Half of them convolutions at 1×, half products at 3×: 1/(0.5/1 + 0.5/3) = 1.5 times as fast in all."""
    measured(1.0, 3.0)
    with torch.device("meta"):
        half = nn.ModuleList([nn.Conv2d(1000, 1000, 3, bias=False), nn.Linear(9000, 1000, bias=False)])
    assert chosen_compute("auto", half).dtype == torch.bfloat16
    assert chosen_compute("auto", half[0]).dtype == torch.float32


def test_bf16_is_compared_with_the_fastest_way_in_float32(measured: Callable[..., None]) -> None:
    """Winograd's, where it pays and a convolution has the channels for it: 2 / 1.5 is 1.33, and 2 / 1.6 only 1.25."""
    with torch.device("meta"):
        narrow, pointwise = nn.Conv2d(64, 10_000, 3), nn.Conv2d(1000, 6000, 1)
    for winograd, dtype in ((1.5, torch.bfloat16), (1.6, torch.float32), (1.09, torch.bfloat16)):
        measured(2.0, 2.0, winograd)
        assert chosen_compute("auto", large()).dtype == dtype
    measured(2.0, 2.0, 1.6)
    assert chosen_compute("auto", narrow).dtype == chosen_compute("auto", pointwise).dtype == torch.bfloat16


def test_small_networks_stay_exact(measured: Callable[..., None], unet: Callable[[int], nn.Module]) -> None:
    measured(4.0, 4.0)
    assert chosen_compute("auto", unet(0)).dtype == torch.float32


def test_other_types_and_onlookers_are_left_alone(measured: Callable[..., None]) -> None:
    measured(4.0, 4.0)
    assert chosen_compute("auto", large().half()).dtype == torch.float16
    assert chosen_compute("auto", large().double()).dtype == torch.float64
    observed = large()
    observed.register_forward_hook(lambda *_: None)
    assert chosen_compute("auto", observed).dtype == torch.float32


def test_the_layout_pixel_by_pixel_is_for_convolutions(unet: Callable[[int], nn.Module]) -> None:
    assert chosen_compute("fp32", unet(0)).channels_last
    assert not chosen_compute("fp32", nn.Linear(3, 3)).channels_last
    assert not chosen_compute("auto", unet(0).double()).channels_last


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_the_word_for_it_chooses_it_again(precision: str, unet: Callable[[int], nn.Module]) -> None:
    chosen = chosen_compute(precision, unet(0))  # type: ignore[arg-type]
    assert chosen.precision == precision
    assert chosen_compute(chosen.precision, unet(0)) == chosen


def test_what_a_device_cannot_compute_is_one_error(
    monkeypatch: pytest.MonkeyPatch, unet: Callable[[int], nn.Module]
) -> None:
    monkeypatch.setattr(compute, "type_fault", lambda dtype, device: "not implemented for 'Half'")
    message = (
        r"sampling\.precision: fp16 cannot be computed on cpu: not implemented for 'Half'; take bf16 or fp32"
    )
    with pytest.raises(DiffloomError, match=message):
        chosen_compute("fp16", unet(0))


def test_a_type_is_tried_out() -> None:
    assert compute.type_fault(torch.float32, CPU) is None
    assert compute.type_fault(torch.float8_e4m3fn, CPU) is not None


def test_measured_once_and_kept(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    monkeypatch.setattr(gains, "measured", lambda device: (count.append(1), Gains(1.5, 2.5))[1])
    assert gains.gains(CPU) == gains.gains(CPU) == Gains(1.5, 2.5)
    (file,) = cache_folder.iterdir()
    assert "torch" in json.loads(file.read_text())["key"]
    monkeypatch.setattr(gains, "_known", {})  # as in the next process
    assert gains.gains(CPU) == Gains(1.5, 2.5)
    assert count == [1]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"key": "another"}', "{}", '{"key": 1, "x": 2}'])
def test_a_broken_cache_costs_the_measurement_again(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(gains, "measured", lambda device: Gains(1.5, 2.5))
    gains.gains(CPU)
    (file,) = cache_folder.iterdir()
    file.write_text(content)
    monkeypatch.setattr(gains, "_known", {})
    assert gains.gains(CPU) == Gains(1.5, 2.5)
    assert json.loads(file.read_text())["product"] == 2.5
    assert [path.name for path in cache_folder.iterdir()] == [file.name]


def test_a_cache_that_cannot_be_written_costs_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(gains, "measured", lambda device: Gains(1.5, 2.5))
    assert gains.gains(CPU) == Gains(1.5, 2.5)


def test_of_processes_that_measure_at_once_the_first_is_right(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(device: torch.device) -> Gains:
        monkeypatch.setattr(gains, "measured", lambda device: Gains(1.0, 1.0))
        monkeypatch.setattr(gains, "_known", {})
        monkeypatch.setattr(gains, "_lock", gains.threading.Lock())
        assert gains.gains(device) == Gains(1.0, 1.0)  # another process, meanwhile
        return Gains(2.0, 2.0)

    monkeypatch.setattr(gains, "measured", slow)
    assert gains.gains(CPU) == Gains(1.0, 1.0)


def test_the_measurement_is_of_this_machine() -> None:
    found = gains.measured(CPU)
    assert 0.01 < found.convolution < 100
    assert 0.01 < found.product < 100


@pytest.mark.parametrize(("wall", "process", "gain"), [(2.0, 8.0, 2.0), (8.0, 2.0, 2.0), (0.5, 3.0, 0.5)])
def test_a_gain_is_one_by_both_clocks(wall: float, process: float, gain: float) -> None:
    """Closed form: the plain way's seconds by either clock over the other way's, the fastest of each counting.

    The first round, and one that something held up, do not count.
    """
    plain = iter([(90.0, 90.0), *[(8.0, 8.0)] * gains.ROUNDS])
    other = iter([(1e-3, 1e-3), (70.0, 70.0), *[(8 / wall, 8 / process)] * (gains.ROUNDS - 1)])
    assert gains._in_turns(lambda: next(plain), lambda: next(other)) == gain


def test_seconds_are_told_by_both_clocks() -> None:
    """Of a layer that sleeps, the clock on the wall sees all and the process none."""

    class Sleeping(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            time.sleep(0.05)
            return x

    wall, process = gains._seconds_of(Sleeping(), torch.ones(1))()
    assert wall >= 0.05
    assert process < 0.025
