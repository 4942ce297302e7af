"""Oracle: the same network uncompiled, torch's own count of graphs, and what the modules themselves say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from diffloom.condition import Condition
from diffloom.nn import (
    Block,
    Dropout,
    ResidualBlock,
    Signal,
    SpatialTransformer,
    blocks,
    key_dropout,
    prepare_training,
)
from diffloom.nn.compilation import compiler_fault
from diffloom.process import Draws

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What another test compiled is forgotten, and limits are as they were."""
    torch._dynamo.reset()
    counters.clear()
    limits = torch._dynamo.config
    with limits.patch(
        recompile_limit=limits.recompile_limit, accumulated_recompile_limit=limits.accumulated_recompile_limit
    ):
        yield
    torch._dynamo.reset()


class Net(nn.Module):
    """Residual blocks of three shapes, `depth` of them alike, and a transformer of as many layers."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        widths = [4, *[8] * (depth + 1), 4]
        self.residual = nn.ModuleList(
            ResidualBlock(in_channels=before, out_channels=after, emb_width=4, norm_groups=2, dropout=0.2)
            for before, after in pairwise(widths)
        )
        self.transformer = SpatialTransformer(channels=4, token_width=3, depth=depth, norm_groups=2)

    def forward(self, x_BCHW: Tensor, signal: Signal) -> Tensor:
        for block in self.residual:
            x_BCHW = block(x_BCHW, signal)
        out_BCHW: Tensor = self.transformer(x_BCHW, signal)
        return out_BCHW


def net(depth: int = 1) -> Net:
    torch.manual_seed(0)
    network = Net(depth)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3)
    return network


def trained(network: Net, *, steps: int = 2, through: nn.Module | None = None) -> list[Tensor]:
    """The weights after steps of gradient descent on batches of two sizes."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    for step in range(steps):
        size = 2 + step % 2
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(size, 4, 6, 6, generator=generator)
        tokens = torch.randn(size, 5, 3, generator=generator)
        signal = Signal(emb_BE=torch.ones(size, 4), condition=Condition(tokens_BLD=tokens))
        key_dropout(network, Draws.of(0, range(10 * step, 10 * step + size)))
        optimizer.zero_grad()
        (through or network)(x, signal).square().mean().backward()
        optimizer.step()
    return [weight.detach() for weight in network.parameters()]


@pytest.mark.parametrize(("backend", "checkpointing"), [("eager", False), ("aot_eager", True)])
def test_compiled_blocks_train_the_same(backend: str, checkpointing: bool) -> None:
    """`aot_eager` traces and splits as inductor does, and then computes with torch's own operations."""
    expected = trained(net())
    compiled = net()
    names = list(compiled.state_dict())
    lines = prepare_training(compiled, checkpointing=checkpointing, compiled=True, backend=backend)
    assert list(compiled.state_dict()) == names
    assert lines[-1] == "compiling: 4 blocks, each shape when it is first met"
    found = trained(compiled)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-7)  # float32, its operations in another order
    assert not counters["graph_break"]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("wrapped", ["copied", "sharded"])
def test_prepared_blocks_are_copied_and_sharded(wrapped: str, group: None) -> None:
    """DDP and FSDP2 around blocks that are compiled and checkpointed, as a run wraps them."""
    expected = trained(net())
    network = net()
    prepare_training(network, checkpointing=True, compiled=True, backend="eager")
    if wrapped == "copied":
        found = trained(network, through=DistributedDataParallel(network))
    else:
        mesh = init_device_mesh("cpu", (1,))
        for block in blocks(network).values():
            fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)
        found = [weight.full_tensor() for weight in trained(network)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-7)  # float32, its operations in another order


def test_blocks_of_one_shape_share_their_graphs() -> None:
    graphs = []
    for depth in (2, 5):
        torch._dynamo.reset()
        counters.clear()
        network = net(depth)
        prepare_training(network, checkpointing=False, compiled=True, backend="eager")
        trained(network, steps=1)
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[1]


def test_a_class_of_many_shapes_is_compiled_throughout() -> None:
    """torch gives a function up after 8 graphs, silently but for a log."""

    class Layer(Block):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layer = nn.Linear(width, width)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer(x).tanh()
            return out

    network = nn.ModuleList(Layer(width) for width in range(2, 14))
    prepare_training(network, checkpointing=False, compiled=True, backend="eager")
    for width, layer in enumerate(network, 2):
        layer(torch.ones(1, width))
    assert counters["stats"]["unique_graphs"] == 12 + 1  # and the one that was tried first


def test_inductor_computes_the_same() -> None:
    """Real kernels, of the smallest block with products, a mask and a shortcut. The mask is the same, bit for bit."""

    class Small(Block):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(100, 100)
            self.dropout = Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = x + self.dropout(self.layer(x).tanh())
            return out

    outcomes = []
    for compiled in (False, True):
        torch.manual_seed(0)
        block = Small()
        told = prepare_training(block, checkpointing=True, compiled=compiled)
        assert "warning" not in told[-1]
        key_dropout(block, Draws.of(0, range(3)))
        x = torch.linspace(-1, 1, 300).view(3, 100).requires_grad_()
        out = block(x)
        out.square().sum().backward()
        outcomes.append((out.detach() - x.detach(), x.grad, block.layer.weight.grad))
    assert torch.equal(outcomes[0][0] == 0, outcomes[1][0] == 0)
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(
            one, other, rtol=0, atol=1e-5
        )  # float32: sums of a hundred in another order


def broken(graph: object, examples: object) -> object:
    """Fails as inductor does without a compiler."""
    raise RuntimeError("\nno C++ compiler was found\nmore about it")


def test_a_missing_compiler_is_found_out() -> None:
    """Inductor itself, where the compiler that it is told of is not there."""
    missing = torch._inductor.config.patch({"cpp.cxx": (None, "/nonexistent/g++")})
    with missing, torch._inductor.utils.fresh_cache():
        assert "/nonexistent/g++" in (compiler_fault(CPU) or "")
    assert compiler_fault(CPU, "eager") is None


def test_where_nothing_compiles_it_is_told_and_computed_anyway() -> None:
    network = net()
    lines = prepare_training(network, checkpointing=False, compiled=True, backend=broken)
    assert lines == [
        "warning: this machine cannot compile, so nothing is compiled: no C++ compiler was found"
    ]
    assert all(block._compiled_call_impl is None for block in blocks(network).values())


def test_only_what_trains_is_prepared() -> None:
    network = nn.ModuleDict({"frozen": net().requires_grad_(False), "trained": net()})
    lines = prepare_training(network, checkpointing=True, compiled=False)
    assert lines == ["checkpointing: 4 blocks keep what enters them, and compute the rest again"]
    assert {block.recomputed for block in blocks(network["frozen"]).values()} == {False}
    assert {block.recomputed for block in blocks(network["trained"]).values()} == {True}


def test_a_network_without_blocks_is_told() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    (line,) = prepare_training(network, checkpointing=True, compiled=True)
    assert line == (
        "checkpointing and compiling: nothing that is trained is made of blocks (diffloom.nn.Block), "
        "so this changes nothing"
    )


def test_nothing_wanted_is_nothing_done() -> None:
    network = net()
    assert prepare_training(network, checkpointing=False, compiled=False) == []
    assert not any(block.recomputed for block in blocks(network).values())
