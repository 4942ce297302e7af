"""Pictures → how real each patch looks. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from torch import Tensor, nn

WIDEST = 8
"""Most channels, as a multiple of the first layer's."""
SLOPE = 0.2
"""Of the leaky ReLUs below zero."""
STD = 0.02
"""Of the initial weights (Isola et al. 2017, §6.2)."""


class PatchDiscriminator(nn.Module):
    """The PatchGAN of pix2pix (Isola et al. 2017, §3.2.2): one logit for each patch, (B, 1, H / 2ⁿ − 2, W / 2ⁿ − 2).

    Theirs normalises over the batch. That would make an example's loss depend on its neighbours and add running
    statistics to what a run has to keep; group norms do neither.
    """

    def __init__(self, *, in_channels: int, channels: int, layers: int, norm_groups: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [
            nn.Conv2d(in_channels, channels, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
        ]
        width = channels
        for number in range(1, layers + 1):
            wider = channels * min(2**number, WIDEST)
            stride = 2 if number < layers else 1
            parts += [
                nn.Conv2d(width, wider, 4, stride=stride, padding=1, bias=False),
                nn.GroupNorm(norm_groups, wider),
                nn.LeakyReLU(SLOPE),
            ]
            width = wider
        self.parts = nn.Sequential(*parts, nn.Conv2d(width, 1, 4, padding=1))
        for part in self.parts:
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=STD)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Logits: above zero for what looks like a picture."""
        logits_B1HW: Tensor = self.parts(images_BCHW)
        return logits_B1HW
