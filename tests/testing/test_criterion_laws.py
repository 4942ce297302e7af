"""The laws of criteria, on right ones and on mistakes made in them. Oracle: the mistake each law is written for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import Criterion, ImageInfo, Reconstruction


class Mean(Criterion):
    """Squared error, right or with one mistake."""

    name = "mean"

    mistake: str = ""
    """Which."""

    def build(self, *, image: ImageInfo) -> Any:
        if self.mistake == "refuses all":
            raise ValueError("no")
        return (lambda *args, **kwargs: None) if self.mistake == "a function" else MeanJudge(self.mistake)


class MeanJudge(nn.Module):
    def __init__(self, bug: str) -> None:
        super().__init__()
        self.bug = bug
        self.frozen = nn.Parameter(torch.ones(()), requires_grad=False)
        self.asked = 0
        self.secret = torch.randn(()).item()

    def forward(self, made: Reconstruction, *, so_far: Tensor, step: int) -> tuple[Tensor, Tensor]:
        bug = self.bug
        self.asked += 1
        x, y = made.images_BCHW, made.reconstructed_BCHW
        if bug == "teaches nobody":
            y = y.detach()
        if bug == "past the last layer":
            y = y.detach() + 0 * made.last_layer.sum() + made.last_layer.sum() * y.detach()
        loss = (x - y).square().flatten(1).mean(1)
        zeros = torch.zeros_like(loss)
        changed = {
            "one for all": lambda: (loss.mean(), zeros),
            "in double": lambda: (loss.double(), zeros),
            "infinite": lambda: (loss / 0, zeros),
            "draws": lambda: (loss * torch.rand(()), zeros),
            "keeps": lambda: (loss * self.asked, zeros),
            "judges untrained": lambda: (loss, loss.detach() + 1),
            "likes difference": lambda: (1 - loss, zeros),
            "looks aside": lambda: (loss - loss.mean() / 2, zeros),
            "weighs in secret": lambda: (loss * so_far, zeros),
            "a secret": lambda: (loss * self.secret, zeros),
        }
        return changed[bug]() if bug in changed else (loss * self.frozen, zeros)


class Line(Criterion):
    """A discriminator of one weight per value, right or with one mistake."""

    name = "line"
    relative: ClassVar[bool] = True

    mistake: str = ""
    """Which."""

    def build(self, *, image: ImageInfo) -> nn.Module:
        return LineJudge(image, self.mistake)


class LineJudge(nn.Module):
    def __init__(self, image: ImageInfo, bug: str) -> None:
        super().__init__()
        self.bug = bug
        self.weight = nn.Parameter(torch.randn(image.shape))
        self.idle = nn.Parameter(torch.ones(()), requires_grad=bug == "one weight idle")

    def forward(self, made: Reconstruction, *, so_far: Tensor, step: int) -> tuple[Tensor, Tensor]:
        x, y = made.images_BCHW, made.reconstructed_BCHW
        fixed = self.weight if self.bug == "teaches the judge" else self.weight.detach()
        held = y if self.bug == "teaches the autoencoder" else y.detach()
        costs = -(fixed * y).flatten(1).mean(1)
        own = (self.weight * (held - x)).flatten(1).mean(1)
        if self.bug == "own looks aside":
            own = own - own.mean()
        (towards,) = torch.autograd.grad(so_far, made.last_layer, retain_graph=True)
        (against,) = torch.autograd.grad(costs.mean(), made.last_layer, retain_graph=True)
        balance = 1.0 if self.bug == "does not weigh itself" else towards.norm() / against.norm()
        if self.bug == "looks aside":
            costs = costs + costs.mean()
        return balance * costs, own


def test_right_ones_pass(passes: Callable[..., None]) -> None:
    passes(Mean)
    passes(Line)


@pytest.mark.parametrize(
    ("component", "mistake", "check"),
    [
        (Mean, "refuses all", "builds"),
        (Mean, "a function", "builds"),
        (Mean, "one for all", "gives_two_losses_each"),
        (Mean, "in double", "gives_two_losses_each"),
        (Mean, "infinite", "gives_two_losses_each"),
        (Mean, "draws", "gives_two_losses_each"),
        (Mean, "keeps", "gives_two_losses_each"),
        (Mean, "teaches nobody", "separates_the_gradients"),
        (Mean, "past the last layer", "separates_the_gradients"),
        (Mean, "judges untrained", "separates_the_gradients"),
        (Line, "teaches the judge", "separates_the_gradients"),
        (Line, "teaches the autoencoder", "separates_the_gradients"),
        (Line, "one weight idle", "separates_the_gradients"),
        (Mean, "likes difference", "is_least_for_the_picture_itself"),
        (Mean, "looks aside", "rows_are_independent"),
        (Line, "looks aside", "rows_are_independent"),
        (Line, "own looks aside", "rows_are_independent"),
        (Mean, "weighs in secret", "weighs_itself_as_it_says"),
        (Line, "does not weigh itself", "weighs_itself_as_it_says"),
        (Mean, "a secret", "is_told_by_seed_and_weights"),
    ],
)
def test_mistakes_are_caught(
    caught: Callable[..., None], component: type[Criterion], mistake: str, check: str
) -> None:
    caught(check, component, mistake=mistake)
