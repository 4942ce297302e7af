"""Gradients by noise level and their noise. Oracles: each example's own gradient; McCandlish et al. 2018, eq. 2.9.

Legend: B batch, P parameters.
"""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import TimeAxis
from diffloom.sentinel import gradients
from diffloom.sentinel.gradients import Gradients
from diffloom.sentinel.sketch import NUMBERS, sketch
from diffloom.training.task import Losses

SIZE = 6


class Examples:
    """A look at linear regression: the loss of example i is ½·(w·xᵢ + b − yᵢ)², at time tᵢ."""

    loss_scale = 8.0

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x_BP = torch.randn(SIZE, 4, generator=generator)
        self.y_B = 3 + torch.randn(SIZE, generator=generator)
        self.t_B = torch.tensor([10.0, 990.0, 20.0, 500.0, 980.0, 30.0])
        parameters = {
            "w": nn.Parameter(torch.ones(4)),
            "b": nn.Parameter(torch.zeros(1)),
            "idle": nn.Parameter(torch.ones(2)),
        }
        self.state = SimpleNamespace(parameters=parameters)
        self.batch = SimpleNamespace(positions=tuple(range(SIZE)))
        self.train = SimpleNamespace(seed=0)
        self.step = 1

    def losses(self, rows: Any) -> Losses:
        chosen = list(rows)
        w, b = self.state.parameters["w"], self.state.parameters["b"]
        off_B = self.x_BP[chosen] @ w + b - self.y_B[chosen]
        return Losses(off_B.square() / 2, t_B=self.t_B[chosen])

    def each(self) -> Tensor:
        """The gradient of each example, (B, P)."""
        off_B = (self.x_BP.sum(1) - self.y_B).double()
        return off_B[:, None] * torch.cat([self.x_BP.double(), torch.ones(SIZE, 1)], 1)


def test_norms_of_the_parts_are_those_of_their_examples() -> None:
    look = Examples()
    figures = Gradients(TimeAxis.table(1000), torch.device("cpu"), {}).look(look)  # type: ignore[arg-type]
    each_BP = look.each()
    expected = {0: [0, 2, 5], 4: [3], 7: [1, 4]}  # eighths of 0 … 999: 500 begins just before the fifth
    found = {key: value for key, value in figures.items() if key.startswith("grad_norm")}
    assert found == {
        f"grad_norm_bucket_{part}": pytest.approx(float(each_BP[rows].mean(0).norm()), rel=1e-5)
        for part, rows in expected.items()
    }


def test_the_noise_scale_over_all_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averaged over all 2^B signs the estimates are those of the examples' own gradients, exactly: |G|² from pairs of
    different examples, tr Σ the unbiased variance."""
    look = Examples()
    each_BP = look.each()
    signs = [torch.tensor(row) for row in product([-1.0, 1.0], repeat=SIZE)]
    monkeypatch.setattr(gradients, "KEPT", 0.0)
    squared, variance = [], []
    for signs_B in signs:
        generator = SimpleNamespace(choice=lambda values, count, drawn=signs_B: drawn.double().numpy())
        monkeypatch.setattr(gradients, "keyed_generator", lambda *key, drawn=generator: drawn)
        kept: dict[str, float] = {}
        watch = Gradients(None, torch.device("cpu"), kept)
        watch.look(look)  # type: ignore[arg-type]
        squared.append(kept[gradients.SQUARED_NORM])
        variance.append(kept[gradients.VARIANCE])
    gram_BB = each_BP @ each_BP.T
    off = float(gram_BB.sum() - gram_BB.trace()) / (SIZE * (SIZE - 1))
    assert sum(squared) / len(signs) == pytest.approx(off, rel=1e-5)
    assert sum(variance) / len(signs) == pytest.approx(float(each_BP.var(0).sum()), rel=1e-5)


def test_one_example_has_no_noise() -> None:
    look = Examples()
    look.batch = SimpleNamespace(positions=(0,))
    figures = Gradients(None, torch.device("cpu"), {}).look(look)  # type: ignore[arg-type]
    assert "noise_scale" not in figures


def test_small_sketches_are_the_gradients_themselves() -> None:
    like = [torch.zeros(3, 5), torch.zeros(7), torch.zeros(2)]
    one, other = ([torch.randn_like(weight) for weight in like[:2]] + [None] for _ in range(2))
    exact = sum(float((a * b).sum()) for a, b in zip(one[:2], other[:2], strict=True))
    assert float(sketch(one, like).dot(sketch(other, like))) == pytest.approx(exact, rel=1e-5)


def test_large_ones_have_their_size() -> None:
    """Of independent normal numbers: the norm by 4096 of them is known to 1/√(2·4096), here within four of those."""
    gradient = torch.randn(10 * NUMBERS, generator=torch.Generator().manual_seed(0))
    kept = sketch([gradient], [gradient])
    assert len(kept) == NUMBERS
    assert float(kept.norm() / gradient.norm()) == pytest.approx(1, abs=4 / (2 * NUMBERS) ** 0.5)
