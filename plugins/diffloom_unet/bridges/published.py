"""Networks everybody has the weights of, by what their names and shapes tell, and what these leave open.

From the configurations of latent-diffusion, Stable Diffusion and generative-models, and the flags in the READMEs of
guided-diffusion and improved-diffusion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from diffloom_unet.bridges.layout import Layout


@dataclass(frozen=True)
class Published:
    """One network."""

    of: str
    """Whose network it is."""
    heads: int | None = None
    head_channels: int | None = None
    side: int = 64
    """The side of the space it was trained in."""
    order: Literal["legacy", "new"] = "legacy"
    """How the projection of attention between pixels is ordered."""


READERS: dict[tuple[int, int, bool], Published] = {
    (320, 768, False): Published("Stable Diffusion 1.x", heads=8),
    (320, 1024, True): Published("Stable Diffusion 2.x", head_channels=64),
    (320, 2048, True): Published("Stable Diffusion XL", head_channels=64, side=128),
    (384, 1280, True): Published("the refiner of Stable Diffusion XL", head_channels=64, side=128),
    (320, 1280, False): Published("LDM text-to-image", heads=8, side=32),
    (192, 512, False): Published("LDM-4 of ImageNet", heads=1),
    (256, 512, False): Published("LDM-8 of ImageNet", head_channels=32, side=32),
}
"""Networks that read tokens, by time_width, width of the tokens and whether their projections are linear."""

ADM = "Dhariwal & Nichol 2021"
IDDPM = "Nichol & Dhariwal 2021"
PIXELS: dict[tuple[tuple[int, ...], int, tuple[int, ...], bool], Published] = {
    ((192, 384, 576, 768), 3, (1, 2, 3), True): Published(
        f"ImageNet 64, {ADM}", head_channels=64, side=64, order="new"
    ),
    ((256, 256, 512, 768, 1024), 2, (2, 3, 4), True): Published(f"ImageNet 128, {ADM}", heads=4, side=128),
    ((256, 256, 512, 512, 1024, 1024), 2, (3, 4, 5), True): Published(
        f"ImageNet and LSUN 256, {ADM}", head_channels=64, side=256
    ),
    ((128, 256, 256, 512, 512, 1024, 1024), 2, (4, 5, 6), True): Published(
        f"ImageNet 512, {ADM}", head_channels=64, side=512
    ),
    ((192, 192, 384, 384, 768, 768), 2, (3, 4, 5), True): Published(f"64 to 256, {ADM}", heads=4, side=256),
    ((192, 192, 384, 384, 768, 768), 2, (4, 5), True): Published(
        f"128 to 512, {ADM}", head_channels=64, side=512
    ),
    ((128, 256, 256, 256), 3, (1, 2), False): Published(f"CIFAR-10, {IDDPM}", heads=4, side=32),
    ((128, 256, 384, 512), 3, (2, 3), False): Published(f"ImageNet 64, {IDDPM}", heads=4),
    ((192, 384, 576, 768), 3, (2, 3), False): Published(f"ImageNet 64 by class, {IDDPM}", heads=4),
    ((128, 128, 256, 256, 512, 512), 2, (4,), False): Published(f"LSUN 256, {IDDPM}", heads=1, side=256),
    ((224, 448, 672, 896), 2, (1, 2, 3), False): Published(
        "LDM-4 without a condition, Rombach et al. 2022", head_channels=32
    ),
    ((192, 384, 384, 768, 768), 2, (0, 1, 2, 3), True): Published(
        "LDM-8 of LSUN churches, Rombach et al. 2022", heads=8, side=32
    ),
}
"""Networks whose pixels attend to each other only: channels, blocks, levels that attend, residual blocks between."""


def published(layout: Layout) -> Published | None:
    """The published network of this layout."""
    if layout.tokens:
        return READERS.get((layout.time_width, layout.tokens, layout.linear))
    return PIXELS.get((layout.channels, layout.blocks_per_level, layout.attending, layout.residual))
