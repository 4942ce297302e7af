"""The optimisers diffloom brings. Oracles: torch's and transformers' own beside ours, the papers' rules written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import transformers
from pydantic import ValidationError
from torch import Tensor, nn

from diffloom.errors import DiffloomError
from diffloom.kinds import Optimizer, ParameterGroup
from diffloom_optimization import SGD, Adafactor, AdamW, AdamW8bit, DecoupledSGD, Lion, Prodigy

LR, DECAY = 0.05, 0.1
SHAPES = ((3, 4), (2, 3, 2, 2), (5,))
"""The last does not decay."""


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in SHAPES]


def trained(
    parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, steps: int = 12
) -> list[Tensor]:
    """The weights after steps with gradients that depend on them and on the step."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        for parameter in parameters:
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = parameter.detach() - 0.3 + noise
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def ours(component: Optimizer, *, lr: float = LR, steps: int = 12) -> list[Tensor]:
    parameters = weights()
    groups = [ParameterGroup(parameters[:2], decays=True), ParameterGroup(parameters[2:], decays=False)]
    return trained(parameters, component.build(groups, lr=lr), steps)


def theirs(
    peer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer], *, decay: float = 0.0
) -> list[Tensor]:
    parameters = weights()
    groups = [
        {"params": parameters[:2], "weight_decay": decay},
        {"params": parameters[2:], "weight_decay": 0.0},
    ]
    return trained(parameters, peer(groups))


def assert_same(one: list[Tensor], other: list[Tensor]) -> None:
    for mine, peer in zip(one, other, strict=True):
        torch.testing.assert_close(mine, peer, rtol=1e-12, atol=1e-13)  # float64, another order of operations


def test_adamw_is_torch_s() -> None:
    came = ours(AdamW(betas=(0.8, 0.95), eps=1e-6, weight_decay=DECAY))
    loop = theirs(
        lambda groups: torch.optim.AdamW(groups, lr=LR, betas=(0.8, 0.95), eps=1e-6, foreach=False),
        decay=DECAY,
    )
    assert_same(came, loop)


@pytest.mark.parametrize("fields", [{}, {"momentum": 0.0}, {"momentum": 0.5, "nesterov": True}])
def test_sgd_without_decay_is_torch_s(fields: dict[str, Any]) -> None:
    known: dict[str, Any] = {"momentum": 0.9, **fields}
    assert_same(ours(SGD(**fields)), theirs(lambda groups: torch.optim.SGD(groups, lr=LR, **known)))


def test_sgd_s_decay_is_decoupled() -> None:
    """Loshchilov & Hutter 2019, algorithm 1: m ← β·m + g; w ← w − lr·m − lr·λ·w."""

    class Written(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    m = self.state[p].setdefault("m", torch.zeros_like(p)).mul_(0.7).add_(p.grad)
                    p.sub_(LR * m + LR * group["weight_decay"] * p)

    came = ours(SGD(momentum=0.7, weight_decay=DECAY))
    assert_same(came, theirs(lambda groups: Written(groups, {}), decay=DECAY))


def test_sgd_leaves_weights_without_a_gradient() -> None:
    still, moved = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    groups = [{"params": [still, moved], "weight_decay": 1.0}]
    optimizer = DecoupledSGD(groups, lr=0.5, momentum=0.0, nesterov=False)
    moved.grad = torch.zeros(2, 2)
    optimizer.step()
    assert (still.mean().item(), moved.mean().item()) == (1.0, 0.5)


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ValidationError, match="set momentum, or nesterov: false"):
        SGD(momentum=0.0, nesterov=True)


def test_adafactor_is_transformers_with_a_rate_of_one_s_own() -> None:
    """With scaling by the weights' size, while lr < 1/√t; theirs adds 1e-30 to squares where torch guards divisions."""
    came = ours(Adafactor())
    peer = theirs(
        lambda groups: transformers.Adafactor(groups, lr=LR, relative_step=False, scale_parameter=True)
    )
    for mine, other in zip(came, peer, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


def test_adafactor_s_rate_is_capped_by_the_root_of_the_step() -> None:
    """As its docstring says: a rate of 1 is the paper's 1/√t."""
    first = [value.clone() for value in weights()]
    (after, *_), (before, *_) = ours(Adafactor(), lr=1.0, steps=1), first
    capped, *_ = ours(Adafactor(), lr=100.0, steps=1)
    assert torch.equal(after, capped)
    size = before.square().mean().sqrt()
    assert (
        after - before
    ).square().mean().sqrt() <= size * 1.0001  # one step of at most the weights' own size


def test_adafactor_s_state_is_rows_and_columns() -> None:
    """Of a matrix of 64 × 32 it keeps 96 numbers where Adam keeps 4096."""
    weight = nn.Parameter(torch.ones(64, 32))
    weight.grad = torch.ones(64, 32)
    optimizer = Adafactor().build([ParameterGroup([weight], decays=True)], lr=0.01)
    optimizer.step()
    kept = sum(value.numel() for value in optimizer.state[weight].values())
    assert kept == 64 + 32 + 1  # and the step


class WrittenLion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = (0.8 * m + 0.2 * p.grad).sign()
                p.sub_(LR * (update + group["weight_decay"] * p))
                m.mul_(0.95).add_(0.05 * p.grad)


def test_lion_is_the_paper_s() -> None:
    came = ours(Lion(betas=(0.8, 0.95), weight_decay=DECAY))
    assert_same(came, theirs(lambda groups: WrittenLion(groups, {}), decay=DECAY))


class WrittenProdigy:
    """Mishchenko & Defazio 2023, algorithm 4, without decay and correction, over all weights together."""

    def __init__(self, parameters: Sequence[nn.Parameter], *, lr: float, d0: float, eps: float) -> None:
        self.parameters, self.lr, self.eps = parameters, lr, eps
        self.first = [p.detach().clone() for p in parameters]
        self.m, self.v, self.s = ([torch.zeros_like(p) for p in parameters] for _ in range(3))
        self.d = self.d0 = d0
        self.r = 0.0

    @torch.no_grad()
    def step(self) -> None:
        beta1, beta2 = 0.9, 0.999
        root, d = beta2**0.5, self.d
        self.r *= root
        for p, first, m, v, s in zip(self.parameters, self.first, self.m, self.v, self.s, strict=True):
            assert p.grad is not None
            self.r += self.lr * d * d / self.d0 * (p.grad * (first - p)).sum().item()
            m.mul_(beta1).add_((1 - beta1) * d * p.grad)
            v.mul_(beta2).add_((1 - beta2) * d * d * p.grad**2)
            s.mul_(root).add_(self.lr * d * d / self.d0 * p.grad)
        total = sum(s.abs().sum().item() for s in self.s)
        self.d = max(d, self.r / total)
        for p, m, v in zip(self.parameters, self.m, self.v, strict=True):
            p.sub_(self.lr * d * m / (v.sqrt() + self.d * self.eps))


def test_prodigy_is_the_paper_s() -> None:
    """The estimate enters twice a step: before it is renewed in the rate, after in the guard of the division."""
    component = Prodigy(bias_correction=False, safeguard_warmup=False, d0=1e-3)
    came = ours(component, lr=1.0, steps=30)
    parameters = weights()
    written = WrittenProdigy(parameters, lr=1.0, d0=1e-3, eps=1e-8)
    expected = trained(parameters, written, 30)  # type: ignore[arg-type]
    assert written.d > 2e-3, "the estimate grew"
    for mine, other in zip(came, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)  # the library sums in float32


@pytest.mark.parametrize(
    ("component", "module", "remedy"),
    [
        (Lion(), "pytorch_optimizer", "pip install 'diffloom[optimizers]'"),
        (Prodigy(), "pytorch_optimizer", "pip install 'diffloom[optimizers]'"),
        (AdamW8bit(), "bitsandbytes", "pip install bitsandbytes"),
    ],
)
def test_a_missing_library_is_one_error(
    component: Optimizer, module: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.meta_path", [Absent(module)])
    monkeypatch.delitem(__import__("sys").modules, module, raising=False)
    with pytest.raises(DiffloomError) as caught:
        component.build([ParameterGroup(weights(), decays=True)], lr=LR)
    assert str(caught.value) == (
        f"train.optimizer: needs {module}, which is not installed; `{remedy}` brings it"
    )


class Absent:
    """A finder for which one module is not installed."""

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        assert name == self.module
