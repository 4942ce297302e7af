"""Copies kept while they are right. The oracle is the network itself, called after each change, and in float64."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
from diffloom.inference.products import products
from diffloom.inference.snapshot import ROW, ROWS_AT_ONCE, Snapshot

X_BCHW = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
T_B = torch.tensor([5.0, 300.0])


@torch.no_grad()
def output(network: Callable[..., Tensor]) -> Tensor:
    return network(X_BCHW, T_B, Condition())


@torch.no_grad()
def in_float64(network: nn.Module) -> Tensor:
    exact: Tensor = copy.deepcopy(network).double()(X_BCHW.double(), T_B, Condition())
    return exact


def written(network: nn.Module) -> None:
    with torch.no_grad():
        network.get_parameter("enter.weight").mul_(2)


def written_unseen(network: nn.Module) -> None:
    network.get_parameter("enter.weight").data[0, 0, 1, 1] += 0.5


def swapped(network: nn.Module) -> None:
    """Twice, so that the second may lie where the first weight did."""
    for _ in range(2):
        network.get_parameter("enter.weight").data = 2 * network.get_parameter("enter.weight").data


def loaded(network: nn.Module) -> None:
    network.load_state_dict({name: 1.5 * weight for name, weight in network.state_dict().items()})


def assigned(network: nn.Module) -> None:
    state = {name: 1.5 * weight for name, weight in network.state_dict().items()}
    network.load_state_dict(state, assign=True)


def replaced(network: nn.Module) -> None:
    network.enter = nn.Conv2d(3, 16, 3, padding=1)


def converted(network: nn.Module) -> None:
    network.double()
    network.float()
    written(network)


def attribute(network: nn.Module) -> None:
    network.time_scale = 2.0  # type: ignore[assignment]


def moved_about(network: nn.Module) -> None:
    """In memory that torch does not see written to: the same numbers in other places."""
    numbers = network.get_parameter("enter.weight").detach().numpy()
    numbers[...] = numbers[::-1].copy()


def balanced(network: nn.Module) -> None:
    """What one weight gains another loses."""
    numbers = network.get_parameter("enter.weight").detach().view(-1).numpy()
    numbers[:2] += (0.5, -0.5)


@pytest.mark.parametrize(
    "change",
    [
        written,
        written_unseen,
        swapped,
        loaded,
        assigned,
        replaced,
        converted,
        attribute,
        moved_about,
        balanced,
    ],
)
def test_no_change_of_the_network_is_missed(
    unet: Callable[[int], nn.Module], change: Callable[[nn.Module], None]
) -> None:
    network, networks = unet(0), ReadyNetworks()
    before = output(networks.of(network, precision="fp32"))
    assert networks.of(network, precision="fp32") is networks.of(network, precision="fp32")
    change(network)
    after = output(networks.of(network, precision="fp32"))
    plain, exact = output(network.eval()), in_float64(network)
    assert (after - exact).abs().max() <= 2 * (plain - exact).abs().max() + 1e-6
    assert (after - before).abs().max() > 1e-4


class Holding(nn.Module):
    """A network of somebody who keeps numbers wherever they like."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 3, 3, padding=1)
        self._private, self.listed, self.nested = 1.0, [1.0], {"all": ({"gain": 1.0},)}
        self.tensor, self.tensors = torch.ones(1), [torch.ones(1)]

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        gain = self._private * self.listed[0] * self.nested["all"][0]["gain"]
        out_BCHW: Tensor = self.enter(x_BCHW) * gain * self.tensor * self.tensors[0]
        return out_BCHW


HOLDINGS: dict[str, Callable[[Holding], object]] = {
    "private": lambda network: setattr(network, "_private", 2.0),
    "listed": lambda network: network.listed.__setitem__(0, 2.0),
    "nested": lambda network: network.nested["all"][0].__setitem__("gain", 2.0),
    "tensor": lambda network: network.tensor.mul_(2),
    "tensor's data": lambda network: network.tensors[0].data.mul_(2),
}


@pytest.mark.parametrize("where", list(HOLDINGS))
def test_no_attribute_is_missed(where: str) -> None:
    """Of a network that knows nothing of diffloom: in half precision, which is always a copy."""
    network, networks = Holding().eval().requires_grad_(False), ReadyNetworks()
    before = output(networks.of(network, precision="bf16"))
    assert networks.of(network, precision="bf16") is networks.of(network, precision="bf16")
    HOLDINGS[where](network)
    torch.testing.assert_close(output(networks.of(network, precision="bf16")), 2 * before, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int64])
def test_numbers_of_every_type_are_seen(dtype: torch.dtype) -> None:
    """More of them than are summed at once, written to where nobody else sees it."""
    layer = nn.Module()
    layer.register_buffer("numbers", torch.zeros(ROW * (ROWS_AT_ONCE + 2) + 3, dtype=dtype))
    snapshot = Snapshot(layer)
    assert snapshot.is_of(layer)
    for place in (0, ROW * ROWS_AT_ONCE + 1, -1):
        layer.get_buffer("numbers").data[place] += 1
        assert not snapshot.is_of(layer)
        snapshot = Snapshot(layer)


def test_training_and_back_is_no_change(unet: Callable[[int], nn.Module]) -> None:
    network, networks = unet(0), ReadyNetworks()
    ready = networks.of(network, precision="fp32")
    network.train()
    assert networks.of(network, precision="fp32") is ready


def test_one_copy_at_a_time(unet: Callable[[int], nn.Module]) -> None:
    """The last one goes before another is made; one that was forgotten, or moved, goes at once."""
    network, networks = unet(0), ReadyNetworks()
    first = weakref.ref(networks.of(network, precision="bf16").module)
    networks.of(network, precision="fp32")
    gc.collect()
    assert first() is None
    second = weakref.ref(networks.of(network, precision="fp32").module)
    networks.forget()
    gc.collect()
    assert second() is None


def test_a_snapshot_keeps_no_memory_of_weights_alive(unet: Callable[[int], nn.Module]) -> None:
    network, networks = unet(0), ReadyNetworks()
    networks.of(network, precision="bf16")
    weight = weakref.ref(network.get_parameter("enter.weight").untyped_storage())
    old = weakref.ref(network.get_parameter("enter.weight"))
    network.enter = nn.Conv2d(3, 16, 3, padding=1)
    gc.collect()
    assert old() is None
    assert weight() is None


def test_moving_a_pipeline_drops_its_copies(small_model: Pipeline) -> None:
    pipe = copy.copy(small_model)
    pipe._ready = ReadyNetworks()
    ready = weakref.ref(pipe.ready(pipe.document.sampling).module)
    pipe.to("cpu")
    gc.collect()
    assert ready() is None


def test_threads_may_draw_from_one_pipeline(small_model: Pipeline) -> None:
    """Each thread's pictures are those that it draws alone, bit for bit, whatever the others do meanwhile."""
    wanted = [small_model.sample(label=label, seed=label, steps=6, guidance=2.0).tensor for label in range(4)]
    small_model.forget_ready()
    found: dict[int, Tensor] = {}
    start = threading.Barrier(4)

    def draw(label: int) -> None:
        start.wait()
        found[label] = small_model.sample(label=label, seed=label, steps=6, guidance=2.0).tensor

    threads = [threading.Thread(target=draw, args=(label,)) for label in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for label, images in enumerate(wanted):
        torch.testing.assert_close(found[label], images, rtol=0, atol=0)


class Flags(nn.Module):
    """Sees what is set while it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        self.seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        return x


@pytest.fixture(params=[False, True])
def otherwise(request: pytest.FixtureRequest) -> bool:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = request.param
    yield request.param
    matmul.allow_tf32, cudnn.allow_tf32 = before


@pytest.mark.parametrize(("precision", "rounds"), [("fp32", False), ("auto", False), ("tf32", True)])
def test_tf32_is_set_while_the_network_computes(precision: str, rounds: bool, otherwise: bool) -> None:
    network = Flags()
    output(ReadyNetworks().of(network, precision=precision))  # type: ignore[arg-type]
    assert network.seen == [(rounds, rounds)]
    assert torch.backends.cuda.matmul.allow_tf32 is otherwise


def test_two_who_want_the_same_have_it_until_the_last_is_done(otherwise: bool) -> None:
    matmul = torch.backends.cuda.matmul
    first, second = products(tf32=not otherwise), products(tf32=not otherwise)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert matmul.allow_tf32 is not otherwise
    with products(tf32=otherwise):
        assert matmul.allow_tf32 is otherwise
    assert matmul.allow_tf32 is not otherwise
    second.__exit__(None, None, None)
    assert matmul.allow_tf32 is otherwise
