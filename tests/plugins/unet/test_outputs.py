"""Oracle: diffusers' `UNet2DModel` with its own random weights, run beside ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor


def error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, as a share of the largest output."""
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


# float32 sums in another order (one projection for q, k and v) differ by some units in the last place, 1e-7 each
# layer; in float64 the same differences must fall to 1e-15 each, which no difference of mathematics would do.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_outputs(shape: str, dtype: torch.dtype, tolerance: float, make_twins: Callable[..., Any]) -> None:
    twins = make_twins(shape, dtype)
    with torch.no_grad():
        theirs, ours = twins.their_output(), twins.our_output()
    assert theirs.std() > 0.1
    assert error(ours, theirs) < tolerance


@pytest.mark.parametrize("shape", ["class-conditional", "attention everywhere"])
def test_gradients(shape: str, make_twins: Callable[..., Any]) -> None:
    """Gradients of a random projection of the output, for the input and every weight, brought under our names."""
    twins = make_twins(shape, torch.float64)
    twins.x_BCHW.requires_grad_()
    theirs = twins.their_output()
    projection = torch.randn_like(theirs)
    (theirs_x,) = torch.autograd.grad((theirs * projection).sum(), twins.x_BCHW, retain_graph=True)
    (theirs * projection).sum().backward()
    gradients = {name: parameter.grad for name, parameter in twins.theirs.named_parameters()}
    expected = twins.translated(gradients)

    twins.x_BCHW.grad = None
    (twins.our_output() * projection).sum().backward()
    assert error(twins.x_BCHW.grad, theirs_x) < 1e-10
    # a bias of keys moves every score of a query alike, so its true gradient is 0: compared to the largest of all
    floor = 1e-13 * max(gradient.abs().max().item() for gradient in expected.values())
    for name, parameter in twins.ours.named_parameters():
        gap = (parameter.grad - expected[name]).abs().max().item()
        assert gap < floor + 1e-10 * expected[name].abs().max().item(), name


def test_gradients_in_float32(make_twins: Callable[..., Any]) -> None:
    twins = make_twins("class-conditional", torch.float32)
    for output in (twins.their_output(), twins.our_output()):
        (output**2).sum().backward()
    gradients = {name: parameter.grad for name, parameter in twins.theirs.named_parameters()}
    expected = twins.translated(gradients)
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, parameter in twins.ours.named_parameters():
        assert (parameter.grad - expected[name]).abs().max() < 1e-5 * largest, name
