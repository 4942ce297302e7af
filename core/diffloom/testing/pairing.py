"""Laws of the kind `pairing`. Legend: B batch, C channels, H height, W width, D all of them but B."""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.kinds import Pairing
from diffloom.testing.checks import Check, expect
from diffloom.testing.closed_forms import normal

SHAPES = ((1, 3, 4, 4), (6, 2, 4, 5), (9, 1, 1, 2))


def gives_every_noise_once(component: Pairing) -> None:
    """The rows of the noise in some order, bit for bit: none is lost, changed, mixed or given twice."""
    for x0, eps in _batches():
        paired = component.build()(x0, eps)
        expect(paired.shape == eps.shape, f"noise of {tuple(eps.shape)}", tuple(paired.shape))
        expect(paired.dtype == eps.dtype, f"{eps.dtype}, as the noise is", paired.dtype)
        wanted, came = ({tuple(row.flatten().tolist()) for row in value} for value in (eps, paired))
        expect(came == wanted, "every row of the noise once", f"{len(came & wanted)} of {len(wanted)}")


def leaves_its_inputs_alone(component: Pairing) -> None:
    """Data and noise are as they were, and the same pairs come out again."""
    for x0, eps in _batches():
        before = x0.clone(), eps.clone()
        first = component.build()(x0, eps)
        expect(torch.equal(x0, before[0]), "the data to be left as they were", "changed in place")
        expect(torch.equal(eps, before[1]), "the noise to be left as it was", "changed in place")
        expect(torch.equal(first, component.build()(x0, eps)), "equal pairs twice", "others")


def brings_noise_no_farther(component: Pairing) -> None:
    """The sum of the distances between data and noise is at most what it was."""
    for x0, eps in _batches():
        before, after = (_distances(x0, noise) for noise in (eps, component.build()(x0, eps)))
        expect(after <= before * (1 + 1e-6), f"distances of {before:.6g} together, or less", f"{after:.6g}")


def does_not_look_at_the_order(component: Pairing) -> None:
    """Examples in another order, each with its noise, are paired alike."""
    for x0, eps in _batches():
        turned = component.build()(x0.flip(0), eps.flip(0)).flip(0)
        expect(torch.equal(turned, component.build()(x0, eps)), "the same pairs in another order", "others")


def _batches() -> list[tuple[Tensor, Tensor]]:
    return [
        (normal(shape, seed=1, dtype=dtype).tanh(), normal(shape, seed=2, dtype=dtype))
        for shape in SHAPES
        for dtype in (torch.float32, torch.float64)
    ]


def _distances(x0: Tensor, eps: Tensor) -> float:
    return float((x0 - eps).double().flatten(1).norm(dim=1).sum())


CHECKS: tuple[Check, ...] = (
    gives_every_noise_once,
    leaves_its_inputs_alone,
    brings_noise_no_farther,
    does_not_look_at_the_order,
)
