"""Lp. Oracles: its closed form and torch's own losses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from diffloom.kinds import ImageInfo, Reconstruction
from diffloom_criteria import Lp

IMAGE = ImageInfo(height=2, width=2, channels=1)


def judged(p, images, made):
    made = made.clone().requires_grad_()
    judge = Lp(p=p).build(image=IMAGE)
    loss, own = judge(Reconstruction(images, made, made.sum((1, 2, 3)), made), so_far=made.sum(), step=1)
    loss.sum().backward()
    return loss, own, made.grad


@given(st.floats(0.1, 5), st.lists(st.floats(-2, 2), min_size=8, max_size=8))
def test_closed_form(p, values):
    """mean |x − x̂|^p, and its slope −p·|x − x̂|^(p − 1)·sign(x − x̂) / (C·H·W)."""
    error = torch.tensor(values, dtype=torch.float64).view(2, 1, 2, 2)
    loss, own, slope = judged(p, error, torch.zeros_like(error))
    torch.testing.assert_close(loss, error.abs().pow(p).mean((1, 2, 3)))
    moved = error != 0
    wanted = -p * error[moved].abs().pow(p - 1) * error[moved].sign() / 4
    torch.testing.assert_close(slope[moved], wanted)
    assert not slope[~moved].any()
    assert not own.any()


@pytest.mark.parametrize(("p", "peer"), [(1.0, functional.l1_loss), (2.0, functional.mse_loss)])
def test_as_torch(p, peer):
    images, made = torch.rand(2, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss, _, _ = judged(p, images, made)
    torch.testing.assert_close(loss.mean(), peer(made, images))
