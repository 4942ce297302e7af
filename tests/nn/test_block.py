"""Oracle: the same modules without checkpointing, and what torch's hooks see kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from diffloom.nn import (
    Block,
    Dropout,
    ResidualBlock,
    SelfAttention,
    Signal,
    SpatialTransformer,
    blocks,
    key_dropout,
)
from diffloom.planning.live_bytes import LiveBytes
from diffloom.process import Draws


class Wide(Block):
    """A block whose inside is much wider than what enters it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 32 * width)
        self.dropout = Dropout(0.3)
        self.contract = nn.Linear(32 * width, width)
        self.calls = 0

    def forward(self, x_BD: Tensor, *, scale: float = 1.0) -> Tensor:
        self.calls += 1
        out_BD: Tensor = x_BD + scale * self.contract(self.dropout(self.expand(x_BD).tanh()))
        return out_BD


class Nested(Block):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Wide(2)


def chain(*, recomputed: bool, length: int = 4, width: int = 8) -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(*(Wide(width) for _ in range(length))).double()
    for block in blocks(network).values():
        block.recomputed = recomputed
    return network


def test_blocks_are_told_in_order_and_not_what_is_inside_them() -> None:
    network = nn.ModuleDict(
        {
            "enter": nn.Linear(2, 2),
            "nested": Nested(),
            "nested_too": Nested(),
            "stack": nn.Sequential(Wide(2), nn.Identity()),
        }
    )
    assert list(blocks(network)) == ["nested", "nested_too", "stack.0"]
    assert list(blocks(network["nested"])) == [""]
    assert blocks(nn.Linear(2, 2)) == {}


def test_ours_are_blocks() -> None:
    """Depth by depth in a spatial transformer, whose projections stay outside."""
    transformer = SpatialTransformer(channels=8, token_width=4, depth=2, norm_groups=4)
    assert list(blocks(transformer)) == ["blocks.0", "blocks.1"]
    for block in (
        ResidualBlock(in_channels=8, out_channels=8, emb_width=4, norm_groups=4),
        SelfAttention(channels=8, norm_groups=4),
    ):
        assert list(blocks(block)) == [""]


def test_a_recomputed_block_gives_the_same_numbers() -> None:
    outcomes = []
    for recomputed in (False, True):
        network = chain(recomputed=recomputed)
        key_dropout(network, Draws.of(0, range(5)))
        x = torch.linspace(-1, 1, 40, dtype=torch.float64).view(5, 8).requires_grad_()
        out = network(x)
        out.square().sum().backward()
        assert [block.calls for block in network] == [2 if recomputed else 1] * 4
        outcomes.append([out, x.grad, *(weight.grad for weight in network.parameters())])
    for one, other in zip(*outcomes, strict=True):
        assert torch.equal(one, other)


def test_torch_s_own_dropout_is_recomputed_the_same() -> None:
    """Without keys: checkpointing sets torch's generator back for it."""
    outcomes = []
    for recomputed in (False, True):
        network, x = chain(recomputed=recomputed), torch.ones(5, 8, dtype=torch.float64)
        torch.manual_seed(7)
        network(x).square().sum().backward()
        outcomes.append([weight.grad for weight in network.parameters()])
    for one, other in zip(*outcomes, strict=True):
        assert torch.equal(one, other)


def test_only_what_enters_a_block_is_kept() -> None:
    """In between, a block keeps tanh (256 numbers), the mask (256 bytes) and what left dropout (256 numbers) of each
    example; what enters it has 8 numbers. The last block's inputs and the first's are among these."""
    x = torch.randn(5, 8, dtype=torch.float64)
    for recomputed, expected in ((False, 4 * 5 * (2 * 256 * 8 + 256 + 8 * 8)), (True, 4 * 5 * 8 * 8)):
        network = chain(recomputed=recomputed)
        key_dropout(network, Draws.of(0, range(5)))
        assert kept(network, x) == expected


def kept(network: nn.Sequential, x: Tensor) -> int:
    """Bytes that are alive after a forward pass beyond weights, keys and its result: what the way back needs."""
    live = LiveBytes(torch.device("cpu"))
    keys = [layer.keys_B for layer in network.modules() if isinstance(layer, Dropout)]
    live.name("known", [*network.parameters(), *(key for key in keys if key is not None)])
    known = live.live_bytes
    with live:
        out = network(x)
    return live.live_bytes - known - out.nbytes


def test_without_gradients_nothing_is_computed_twice() -> None:
    network = chain(recomputed=True)
    with torch.no_grad():
        network(torch.ones(2, 8, dtype=torch.float64))
    assert [block.calls for block in network] == [1] * 4


def test_arguments_by_name_reach_the_block() -> None:
    block = chain(recomputed=True, length=1)[0].eval()
    x = torch.ones(2, 8, dtype=torch.float64)
    assert torch.equal(block(x, scale=0.0), x)


def test_second_gradients_pass_through() -> None:
    """Criteria weigh each other by gradients of their own, with the graph kept."""
    grads = []
    for recomputed in (False, True):
        network, x = chain(recomputed=recomputed, length=1).eval(), torch.ones(2, 8, dtype=torch.float64)
        loss = network(x).square().sum()
        (first,) = torch.autograd.grad(loss, network[0].contract.weight, retain_graph=True)
        loss.backward()
        grads.append((first, network[0].contract.weight.grad))
    assert torch.equal(grads[0][0], grads[1][0])
    assert torch.equal(grads[0][1], grads[1][1])


@pytest.mark.parametrize("recomputed", [False, True])
def test_names_in_the_state_are_the_weights_own(recomputed: bool) -> None:
    assert list(chain(recomputed=recomputed, length=1).state_dict()) == [
        f"0.{layer}.{name}" for layer in ("expand", "contract") for name in ("weight", "bias")
    ]


def test_the_signal_of_a_residual_block_gets_its_gradient() -> None:
    grads = []
    for recomputed in (False, True):
        torch.manual_seed(0)
        block = ResidualBlock(in_channels=4, out_channels=8, emb_width=4, norm_groups=2)
        nn.init.normal_(block.conv2.weight)
        block.recomputed = recomputed
        emb = torch.ones(2, 4, requires_grad=True)
        block(torch.ones(2, 4, 4, 4), Signal(emb_BE=emb)).square().sum().backward()
        grads.append(emb.grad)
    assert torch.equal(*grads)
