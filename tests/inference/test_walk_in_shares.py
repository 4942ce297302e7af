"""Rows in shares on a walk. Oracle: the same walk computed by one thread.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, ClassVar

import pytest
import torch
from pydantic import PrivateAttr
from torch import Tensor, nn

from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.inference import Compute, ReadyNetwork, WalkNetwork
from diffloom.inference import walk as walk_module
from diffloom.kinds import Caching, Network, Remembering
from diffloom.nn import in_shares


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Telling(nn.Module):
    """x + t + class; notes the rows of each call, and how many threads torch has in it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.calls: list[tuple[int, int]] = []

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        self.calls.append((len(x_BCHW), torch.get_num_threads()))
        out_BCHW = self.weight * x_BCHW + t_B[:, None, None, None]
        if condition.class_B is None:
            return out_BCHW
        return out_BCHW + condition.class_B[:, None, None, None]


def walk_of(network: nn.Module, **options: Any) -> WalkNetwork:
    found = WalkNetwork(
        ReadyNetwork(network, Compute(dtype=torch.float32)), times=[5.0], pixels=2**35, **options
    )
    found.t = 5.0
    return found


@pytest.mark.parametrize(
    ("rows", "calls"),
    [
        (1, [(1, 2)]),
        (2, [(1, 1), (1, 1)]),
        (3, [(3, 2)]),  # one thread would wait for half the time
        (4, [(2, 1), (2, 1)]),
        (5, [(2, 1), (3, 1)]),
    ],
)
@pytest.mark.parametrize("is_conditional", [True, False])
def test_rows_are_divided_among_threads_where_none_idles_for_long(
    rows: int, calls: list[tuple[int, int]], is_conditional: bool
) -> None:
    network = Telling()
    walk = walk_of(network)
    condition = walk.prepare(Condition(class_B=torch.arange(rows) if is_conditional else None))
    x_BCHW = torch.randn(rows, 1, 2, 2)
    with torch.no_grad():
        found = walk(x_BCHW, torch.full((rows,), 5.0), condition)
    assert sorted(network.calls) == calls
    classes = torch.arange(rows)[:, None, None, None] if is_conditional else 0
    assert torch.equal(found, x_BCHW + 5 + classes)


def test_where_there_is_little_to_compute_it_is_computed_whole() -> None:
    for pixels, calls in ((2**33 - 1, [(4, 2)]), (2**33, [(2, 1), (2, 1)])):
        network = Telling()
        walk = WalkNetwork(ReadyNetwork(network, Compute(dtype=torch.float32)), times=[5.0], pixels=pixels)
        walk(torch.ones(4, 1, 2, 2), torch.full((4,), 5.0), walk.prepare(Condition()))
        assert network.calls == calls


def test_who_looks_into_a_network_sees_whole_batches() -> None:
    network = Telling()
    seen: list[int] = []
    network.register_forward_hook(lambda module, given, output: seen.append(len(output)))
    walk = walk_of(network)
    walk(torch.ones(4, 1, 2, 2), torch.full((4,), 5.0), walk.prepare(Condition()))
    assert seen == [4]


def test_what_is_compiled_is_called_whole() -> None:
    network = Telling()
    compute = Compute(dtype=torch.float32, compiled="blocks")
    walk = WalkNetwork(ReadyNetwork(network, compute), times=[5.0], pixels=2**35)
    walk(torch.ones(4, 1, 2, 2), torch.full((4,), 5.0), walk.prepare(Condition()))
    assert network.calls == [(4, 2)]


class Rows(Caching):
    """Remembers, for each condition and share, which rows came."""

    name: ClassVar[str] = "rows"
    canonical: ClassVar[str] = "tests/rows"
    _came: list[list[int]] = PrivateAttr(default_factory=list)

    def build(self, network: nn.Module, *, times: Sequence[float]) -> Remembering:
        self._came.append([])
        return Noting(network, self._came[-1])


class Noting:
    def __init__(self, network: nn.Module, came: list[int]) -> None:
        self._network, self._came = network, came

    def at(self, t: float) -> Network:
        def network(x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
            self._came += [round(value) for value in x_BCHW[:, 0, 0, 0].tolist()]
            return self._network(x_BCHW, t_B, condition)  # type: ignore[no-any-return]

        return network


@pytest.mark.parametrize("is_conditional", [True, False])
def test_every_share_remembers_its_own_rows(is_conditional: bool) -> None:
    caching = Rows()
    walk = walk_of(Telling(), caching=caching)
    condition = walk.prepare(Condition(class_B=torch.zeros(4) if is_conditional else None))
    x_BCHW = torch.arange(4.0)[:, None, None, None].expand(4, 1, 2, 2)
    for _ in range(2):
        walk(x_BCHW, torch.full((4,), 5.0), condition)
    assert sorted(caching._came) == [[0, 1, 0, 1], [2, 3, 2, 3]]


@pytest.mark.parametrize(
    "asked",
    [
        {"label": [3, 4]},
        {"label": [3, 4], "guidance": 3.0},
        {
            "label": [3, 4, 5, 6, 7],
            "guidance": {"type": "perturbed_attention", "scale": 2.0, "layers": ["*"]},
        },
        {"label": [3, 4], "caching": "deep_features"},
        {"label": [3, 4, 5], "guidance": {"type": "classifier_free", "scale": 2.0, "interval": [0.4, 0.8]}},
    ],
    ids=str,
)
def test_threads_draw_what_one_draws(
    small_model: Pipeline, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row knows of another: to float32's rounding, of which sums over other blocks make some."""
    monkeypatch.setattr(import_module("diffloom.nn.shares"), "WORTHWHILE", 0)
    divided: list[int] = []

    def noted(work: Any, items: Sequence[Any]) -> list[Any]:
        divided.append(len(items))
        return in_shares(work, items)

    monkeypatch.setattr(walk_module, "in_shares", noted)
    found = small_model.sample(steps=6, seed=1, **asked).tensor
    assert set(divided) == {2}  # or nothing was compared
    torch.set_num_threads(1)
    wanted = small_model.sample(steps=6, seed=1, **asked).tensor
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
