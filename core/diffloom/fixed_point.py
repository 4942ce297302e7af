"""Where a function of a batch gives back what it is given. Legend: B batch, N numbers in a row, K memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MEMORY = 3
"""How many differences are looked back upon."""


def fixed_point(
    f: Callable[[Tensor], Tensor], x: Tensor, *, iterations: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """x = f(x) from a first guess (B, ...), and by how much each row changed last, relative to its largest value, (B,).

    Anderson acceleration (Walker & Ni 2011, algorithm AA): it also converges where f overshoots, and repeating f alone
    would not. The first iteration is f itself. Rows never mix, if f's do not: each has its own history, and stays as it
    is once it has changed by no more than `tolerance`. At most `iterations` calls of f.
    """
    moving_B = torch.ones(len(x), dtype=torch.bool, device=x.device)
    points: list[Tensor] = []
    images: list[Tensor] = []
    for _ in range(iterations):
        image = f(x)
        size_B = image.flatten(1).abs().amax(1).clamp(min=torch.finfo(image.dtype).tiny)
        change_B = (image - x).flatten(1).abs().amax(1) / size_B
        settled_B = change_B <= tolerance
        points, images = [*points[-MEMORY:], x], [*images[-MEMORY:], image]
        found = _keep(settled_B, image, _extrapolated(points, images))
        x = _keep(moving_B, found, x)
        moving_B = moving_B & ~settled_B
        if not bool(moving_B.any()):
            break
    return x, change_B


def _keep(chosen_B: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    return torch.where(chosen_B.view(-1, *[1] * (chosen.dim() - 1)), chosen, other)


def _extrapolated(points: list[Tensor], images: list[Tensor]) -> Tensor:
    """The mixture of the images whose change is least, in float64; the image itself while there is only one."""
    if len(points) == 1:
        return images[0]
    images_BNK = torch.stack([image.flatten(1).double() for image in images], -1)
    changes_BNK = images_BNK - torch.stack([point.flatten(1).double() for point in points], -1)
    steps_BNK = changes_BNK.diff(dim=-1)
    gram_BKK = steps_BNK.mT @ steps_BNK
    # points that no longer differ tell nothing: a trace of the identity keeps them out of it
    scale_B11 = gram_BKK.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None] + torch.finfo(torch.float64).tiny
    gram_BKK = gram_BKK + 1e-10 * scale_B11 * torch.eye(len(points) - 1).to(gram_BKK)
    shares_BK1 = torch.linalg.solve(gram_BKK, steps_BNK.mT @ changes_BNK[..., -1:])
    mixed_BN1: Tensor = images_BNK[..., -1:] - images_BNK.diff(dim=-1) @ shares_BK1
    return mixed_BN1.view_as(images[-1]).to(images[-1].dtype)
