"""Distances of samples. Oracles: their definitions written as loops, and distributions whose distance is known."""

import numpy as np
import pytest
import torch

from diffloom.inspection.distance import energy, path_error


def draws(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def coefficient(x: torch.Tensor, y: torch.Tensor, left_out: int | None = None) -> float:
    """The definition: means over pairs of different rows."""
    rows = [row for row in range(len(x)) if row != left_out]
    pairs = [(i, j) for i in rows for j in rows if i != j]
    across = sum(2 * (x[i] - y[j]).norm().item() for i, j in pairs)
    inside = sum((x[i] - x[j]).norm().item() + (y[i] - y[j]).norm().item() for i, j in pairs)
    return (across - inside) / across


def test_the_estimate_and_its_jackknife_are_their_definitions():
    x, y = draws(7, 3, seed=1), draws(7, 3, seed=2) + 0.5
    found = energy(x, y)
    assert found.coefficient == pytest.approx(coefficient(x, y), rel=1e-12)
    partial = np.array([coefficient(x, y, left_out=row) for row in range(7)])
    assert found.standard_error == pytest.approx(
        np.sqrt(6 / 7 * ((partial - partial.mean()) ** 2).sum()), rel=1e-9
    )


def test_two_points_share_nothing_and_one_shares_all():
    x = torch.zeros(4, 2)
    assert energy(x, x + 1).coefficient == 1
    assert energy(draws(6, 2, seed=3), draws(6, 2, seed=3)).coefficient == pytest.approx(0, abs=1e-12)


def test_of_one_distribution_it_is_zero_on_average():
    found = [energy(draws(12, 4, seed=2 * i), draws(12, 4, seed=2 * i + 1)).coefficient for i in range(200)]
    # 4 standard errors: a false alarm in 16,000 choices of seeds, and these are fixed
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(200)
    assert min(found) < 0 < max(found)


def test_pairs_from_the_same_noise_do_not_hide_a_difference():
    noise = draws(200, 1, seed=5)
    # E|X − Y| for N(0, 1) and N(0, 4) independent is √(2·5/π); E|X − X'| is 2/√π, E|Y − Y'| 4/√π
    across, inside = 2 * np.sqrt(2 * 5 / np.pi), 6 / np.sqrt(np.pi)
    found = energy(noise, 2 * noise)
    assert abs(found.coefficient - (across - inside) / across) < 4 * found.standard_error
    assert found.is_seen


def test_path_error_is_relative():
    reference = draws(5, 8, seed=6)
    assert path_error(reference * 1.01, reference) == pytest.approx(0.01, rel=1e-9)
    assert path_error(reference, reference) == 0
