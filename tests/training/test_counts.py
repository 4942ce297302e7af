"""What a step of training costs, counted: operations, calls, bytes. Oracle: diffusers' network and recipe on the same
weights, torch's own counters, and counts by hand."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from diffloom import config
from diffloom.planning.live_bytes import LiveBytes
from diffloom.plugins import Plugins
from diffloom.testing.waits import Waits
from diffloom.training.engine import Engine
from diffloom.training.feed import Batch
from diffloom.training.opening import Opening
from diffloom.training.preparation import prepare
from diffloom.training.readiness import readied
from diffloom.training.state import TrainState
from diffloom.training.step import OptimizerStep

CPU = torch.device("cpu")
BATCH, SIDE, CHANNELS = 16, 16, (32, 64)


class Calls(TorchDispatchMode):
    """While entered, counts torch's operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class Run:
    """Steps of a U-Net as a run takes them."""

    def __init__(self, plugins: Plugins, *, blocks: int = 1, **train: Any) -> None:
        source = {
            "image": {"size": SIDE, "channels": 1},
            "backbone": {
                "type": "unet",
                "channels": list(CHANNELS),
                "blocks_per_level": blocks,
                "attention_resolutions": [SIDE // 2],
                "norm_groups": 8,
            },
            "schedule": "linear",
            "prediction": "epsilon",
            "sampling": {"sampler": "ddim", "steps": 2},
            "data": "parts/gaussian",
            "train": {"steps": 9, "batch_size": BATCH, "lr": 1e-4, "grad_clip": 1.0, **train},
        }
        prepared = prepare(config.load(source, registry=plugins.registry).document)
        engine = Engine(prepared.train, device="cpu")
        task = Opening(prepared, plugins, engine).task(filled=False)
        readied(task, prepared.train, engine.split)
        self.state = TrainState(task, prepared.train)
        self.state.train_mode()
        self.step = OptimizerStep(self.state, prepared.train, engine, engine.parallel(task))
        self.images = torch.randn(BATCH, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def take(self) -> None:
        places = range(self.state.step * BATCH, (self.state.step + 1) * BATCH)
        self.step.take([Batch((*places,), self.images, {})])


def peer() -> Callable[[], None]:
    """A step of diffusers' training example."""
    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=SIDE,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        norm_num_groups=8,
        downsample_padding=0,
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    ema = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, power=3 / 4)
    x, eps = (torch.randn(BATCH, 1, SIDE, SIDE) for _ in range(2))
    t = torch.arange(BATCH)

    def step() -> None:
        functional.mse_loss(network(x, t).sample, eps).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(network.parameters())

    return step


def operations(step: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    total: int = counter.get_total_flops()
    return total


def bytes_of(step: Callable[[], object]) -> int:
    """The most bytes of tensors in a step beyond those that stand after it: weights, averages, moments."""
    step()  # which makes the moments
    with LiveBytes(CPU) as live:
        step()
        gc.collect()
    return live.peak_bytes - live.live_bytes


def test_no_more_operations_than_the_peer(plugins: Plugins) -> None:
    """The same but for the doubling and its convolution, three products of which 5/9 are left out."""
    ours, theirs = Run(plugins), peer()
    spared = 3 * 5 / 9 * 2 * 9 * CHANNELS[1] ** 2 * BATCH * SIDE**2
    assert operations(ours.take) == operations(theirs) - spared


def test_updates_are_as_many_calls_for_any_number_of_weights(plugins: Plugins) -> None:
    """AdamW, clipping, two averages: what is not the network's passes."""
    found = []
    for blocks in (1, 3):
        run = Run(plugins, blocks=blocks, further_ema={"short": {"type": "exponential", "decay": 0.9}})
        run.take()
        with Calls() as calls:
            run.step._clip()
            run.state.optimizer.step()
            for average in run.state.averages.values():
                average.update(2)
        weights = len(run.state.parameters)
        del calls.counts["detach"]  # a view of each weight, which computes nothing
        found.append((weights, calls.counts))
    (few, calls_few), (many, calls_many) = found
    assert many > 1.5 * few
    assert calls_few == calls_many
    assert calls_few["_fused_adamw_"] == 2  # weights that decay, and those that do not
    assert calls_few["_foreach_lerp_"] == 2
    assert calls_few.total() < 30


def test_a_step_waits_for_the_device_as_often_as_it_says(plugins: Plugins) -> None:
    """On the CPU once, to see whether loss and gradient are finite before the weights move; rows of metrics aside, and
    times, which are on the CPU wherever the network is."""
    run = Run(plugins)
    run.take()
    with Waits() as waits:
        run.take()
    askers = [wait.asker for wait in waits.found if not wait.asker.startswith("diffloom.process.")]
    assert askers == ["diffloom.training.step._may_update"]


def test_a_step_takes_less_memory_than_the_peer_s(plugins: Plugins) -> None:
    """Activations and gradients: the doubled picture is not kept, and no weight's update has a copy of its own."""
    run = Run(plugins)

    def step() -> None:
        run.take()
        run.state.optimizer.zero_grad(set_to_none=True)  # as the peer does at the end

    assert bytes_of(step) <= 0.95 * bytes_of(peer())
