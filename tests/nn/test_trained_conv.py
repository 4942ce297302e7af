"""Oracle: torch's convolution, and the same step taken in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from diffloom.nn import ResidualBlock, Signal, trained_conv, winograd
from diffloom.nn.trained_conv import convolved, train_by_winograd, trains_by_winograd


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pixels of few channels are convolved so too, and in bands of a few rows."""
    monkeypatch.setattr(winograd, "CACHED_BYTES", 4000)
    monkeypatch.setattr(trained_conv, "CHANNELS", 8)
    monkeypatch.setattr(trained_conv, "WORTHWHILE", 0)


@pytest.fixture
def block() -> ResidualBlock:
    torch.manual_seed(0)
    made = ResidualBlock(in_channels=16, out_channels=8, emb_width=4, norm_groups=4)
    nn.init.normal_(made.conv2.weight, std=0.2)
    train_by_winograd(made)
    return made


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The convolutions that were computed by Winograd's way."""
    seen: list[nn.Module] = []

    def asked(conv: nn.Conv2d, x_BIHW: Tensor) -> bool:
        does = trains_by_winograd(conv, x_BIHW)
        seen.extend([conv] if does else [])
        return does

    monkeypatch.setattr(trained_conv, "trains_by_winograd", asked)
    return seen


def picture(batch: int = 4) -> Tensor:
    """It wants a gradient too: without one torch's group norm ends the process where pixels lie one by one."""
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, 16, 8, 8, generator=generator)
    return x.to(memory_format=torch.channels_last).requires_grad_()


def gradients(block: nn.Module, x: Tensor) -> list[Tensor]:
    """Of the sum of the squares of what a block makes of pictures."""
    block.zero_grad()
    block(x, Signal(emb_BE=torch.ones(len(x), 4, dtype=x.dtype))).square().sum().backward()
    found = [weight.grad.clone() for weight in block.parameters() if weight.grad is not None]
    assert len(found) == len(list(block.parameters()))
    return found


def require_close(ones: list[Tensor], others: list[Tensor]) -> None:
    """To float32's rounding of sums of some thousand products, many of which cancel."""
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def test_residual_blocks_train_so(block: ResidualBlock, taken: list[nn.Module]) -> None:
    found = gradients(block, picture())
    assert taken == [block.conv1, block.conv2]
    require_close(found, [grad.float() for grad in gradients(block.double(), picture().double())])
    assert len(taken) == 2
    assert all(map(torch.equal, gradients(block.float(), picture()), found))  # to the last bit, each time


def test_passes_add_up_to_the_batch(block: ResidualBlock) -> None:
    """A step is the same however it is divided, but for the order of its sums."""
    x = picture()
    parts = [gradients(block, part) for part in x.split([1, 3])]
    require_close([a + b for a, b in zip(*parts, strict=True)], gradients(block, x))


def test_recomputed_blocks_give_the_same_bits(block: ResidualBlock, taken: list[nn.Module]) -> None:
    expected = gradients(block, picture())
    block.recomputed = True
    assert all(map(torch.equal, gradients(block, picture()), expected))
    assert taken == [block.conv1, block.conv2] * 3


def test_compiled_blocks_are_torch_s_own(block: ResidualBlock, taken: list[nn.Module]) -> None:
    """One graph, with torch's convolutions, of which its compiler makes something."""
    expected = gradients(block, picture())
    taken.clear()
    called: list[str] = []

    def backend(graph: torch.fx.GraphModule, example: Any) -> Any:
        called.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return graph

    found = gradients(torch.compile(block, backend=backend, fullgraph=True), picture())
    torch._dynamo.reset()
    assert sum("conv2d" in name for name in called) == 3
    assert not taken
    require_close(found, expected)


def test_functions_of_functions_are_torch_s_own(block: ResidualBlock, taken: list[nn.Module]) -> None:
    """Gradients of each example by themselves, which are computed by transforming the step."""
    x, weights = picture(2), dict(block.named_parameters())

    def loss(weights: dict[str, Tensor], x_CHW: Tensor) -> Tensor:
        signal = Signal(emb_BE=torch.ones(1, 4))
        return torch.func.functional_call(block, weights, (x_CHW[None], signal)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    assert not taken
    require_close([each[name].sum(0) for name in weights], gradients(block, x))


def asked(conv: nn.Conv2d) -> nn.Conv2d:
    """The same, to be trained by Winograd's way."""
    train_by_winograd(conv)
    return conv


def test_derivatives_forward_are_torch_s_own(taken: list[nn.Module]) -> None:
    """How the sum of squares changes with the picture, to first order: its gradient times the change."""
    conv, x = asked(nn.Conv2d(16, 8, 3, padding=1)), picture()
    (slope,) = torch.autograd.grad(convolved(x, conv).square().sum(), x)
    assert taken == [conv]
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        change = forward_ad.unpack_dual(convolved(dual, conv).square().sum()).tangent
    assert taken == [conv]
    torch.testing.assert_close(change, slope.sum(), rtol=1e-4, atol=1e-2)


def test_elsewhere_it_is_computed_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples, autocast, frozen weights, other layouts and sizes, a convolution that somebody listens to."""
    conv, x = asked(nn.Conv2d(16, 8, 3, padding=1)), picture()
    assert trains_by_winograd(conv, x)
    assert not trains_by_winograd(conv, x[:, :, 1:].contiguous(memory_format=torch.channels_last))
    assert not trains_by_winograd(conv, x.contiguous())
    assert not trains_by_winograd(asked(nn.Conv2d(16, 8, 3, padding=1, stride=2)), x)
    assert not trains_by_winograd(asked(nn.Conv2d(16, 8, 1)), x)
    assert not trains_by_winograd(asked(nn.Conv2d(16, 8, 3, padding=(0, 1))), x)
    assert not trains_by_winograd(asked(nn.Conv2d(16, 4, 3, padding=1)), x)
    assert not trains_by_winograd(asked(nn.Conv2d(16, 8, 3, padding=1)).requires_grad_(False), x)
    assert not trains_by_winograd(asked(nn.Conv2d(16, 8, 3, padding=1)).eval(), x)
    assert not trains_by_winograd(asked(nn.Conv2d(16, 8, 3, padding=1)).double(), x.double())
    with torch.no_grad():
        assert not trains_by_winograd(conv, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not trains_by_winograd(conv, x)
    listened = asked(nn.Conv2d(16, 8, 3, padding=1))
    calls: list[nn.Module] = []
    listened.register_forward_hook(lambda module, *_: calls.append(module))
    convolved(x, listened)
    assert calls == [listened]
    monkeypatch.setattr(trained_conv, "WORTHWHILE", 2**30)
    assert not trains_by_winograd(conv, x)
    monkeypatch.setattr(trained_conv, "WORTHWHILE", 0)
    assert trains_by_winograd(conv, x)
    assert not trains_by_winograd(nn.Conv2d(16, 8, 3, padding=1), x)


@pytest.fixture
def _group() -> Iterator[None]:
    """One process as a group of its own."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("_group")
def test_shares_of_weights(block: ResidualBlock, taken: list[nn.Module]) -> None:
    """FSDP2 frees the gathered weights after the forward pass, and gathers them again for the gradients."""
    expected = gradients(block, picture())
    fully_shard(block, mesh=init_device_mesh("cpu", (1,)))
    taken.clear()
    found = [grad.full_tensor() for grad in gradients(block, picture())]  # type: ignore[attr-defined]
    assert taken == [block.conv1, block.conv2]
    assert all(map(torch.equal, found, expected))


@pytest.mark.usefixtures("_group")
def test_data_parallel(block: ResidualBlock, taken: list[nn.Module]) -> None:
    expected = gradients(block, picture())
    taken.clear()
    wrapped = nn.parallel.DistributedDataParallel(block, gradient_as_bucket_view=True)
    assert all(map(torch.equal, gradients(wrapped, picture()), expected))
    assert taken == [block.conv1, block.conv2]
