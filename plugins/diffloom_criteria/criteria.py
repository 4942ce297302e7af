"""The criteria a YAML file can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from diffloom.kinds import Criterion, ImageInfo, Weighted

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from diffloom.bridge import Bridge
    from diffloom_criteria.lp import LpJudge
    from diffloom_criteria.patch_adversarial import PatchJudge
    from diffloom_criteria.perceptual import PerceptualJudge

SMALLEST_SIDE = 16
"""Pixels: VGG16 halves a picture four times before its last features."""


class Lp(Criterion):
    """Mean of |x − x̂|^p over the picture's values: 1 is the absolute, 2 the squared error."""

    name = "lp"

    p: Annotated[float, Field(gt=0)] = 1.0
    """The power. 1 keeps edges; 2 punishes large errors more."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(p=2.0), cls(p=0.5, weight=3.0))

    def build(self, *, image: ImageInfo) -> LpJudge:
        """The judge; it takes every picture."""
        from diffloom_criteria.lp import LpJudge

        return LpJudge(p=self.p)


class Perceptual(Weighted, Criterion):
    """LPIPS: the distance of VGG16's features, picture and reconstruction seen by a trained eye (Zhang et al. 2018).

    It is never trained. Grey pictures are shown as RGB with three equal channels.
    """

    name = "perceptual"

    weights: str
    """The file that holds the network: torchvision's VGG16 (`features.0.weight`, …) as .safetensors, and beside its
    tensors LPIPS's own (`lin0.model.1.weight`, …) where `channel_weights` are learned."""
    channel_weights: Literal["learned", "equal"] = "learned"
    """How much each channel of the features counts: as LPIPS learned from people's judgements, or all alike."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(weights="vgg16.safetensors"),)  # no file is read; with equal weights it is a part of this

    @classmethod
    def bridges(cls) -> tuple[Bridge, ...]:
        from diffloom_criteria.vgg_weights import VGGWeights

        return (VGGWeights(),)

    def build(self, *, image: ImageInfo) -> PerceptualJudge:
        """The judge with random weights. Raises ValueError for pictures VGG16 cannot see."""
        if image.channels not in (1, 3):
            raise ValueError(
                f"VGG16 sees grey and RGB pictures, and these have {image.channels} channels; "
                "leave the perceptual criterion out"
            )
        if min(image.height, image.width) < SMALLEST_SIDE:
            raise ValueError(
                f"pictures of {image.height}×{image.width} are too small for VGG16, which halves them four times; "
                f"each side needs {SMALLEST_SIDE} pixels, or leave the perceptual criterion out"
            )
        from diffloom_criteria.perceptual import PerceptualJudge

        return PerceptualJudge(learned=self.channel_weights == "learned")


class PatchAdversarial(Criterion):
    """A discriminator of patches that learns to tell reconstructions from pictures (Isola et al. 2017, Esser et al.
    2021).

    `weight` counts relative to the criteria before it: both are compared by their gradients at the decoder's last
    layer. Its own weights are trained in the same optimiser step as the autoencoder's, with the same learning rate.
    """

    name = "patch_adversarial"
    relative: ClassVar[bool] = True

    loss: Literal["hinge", "non_saturating"] = "hinge"
    """What the two sides minimise: hinge losses (Lim & Ye 2017), or Goodfellow et al.'s with the logarithm."""
    layers: PositiveInt = 3
    """Halvings of the picture: 3 judge patches of 70 pixels, 2 of 34, 1 of 16."""
    channels: PositiveInt = 64
    """Channels after the first layer; they double with each further one, up to eight times as many."""
    norm_groups: PositiveInt = 32
    """Groups of the group norms; a divisor of twice `channels`."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (
            cls(layers=1, channels=4, norm_groups=4),
            cls(layers=2, channels=4, norm_groups=4, loss="non_saturating", weight=0.5),
        )

    def build(self, *, image: ImageInfo) -> PatchJudge:
        """The judge. Raises ValueError for pictures smaller than one patch, and for groups that do not divide."""
        side = min(image.height, image.width)
        needed = 3 * 2**self.layers
        if side < needed:
            fitting = next((n for n in range(self.layers - 1, 0, -1) if side >= 3 * 2**n), None)
            remedy = f"set layers: {fitting}" if fitting else "leave this criterion out"
            raise ValueError(
                f"layers: {self.layers} halves a picture to patches, for which each side needs {needed} pixels, and "
                f"these are {image.height}×{image.width}; {remedy}"
            )
        if 2 * self.channels % self.norm_groups:
            raise ValueError(
                f"norm_groups: {self.norm_groups} does not divide {2 * self.channels} channels, twice `channels`"
            )
        from diffloom_criteria.discriminator import PatchDiscriminator
        from diffloom_criteria.patch_adversarial import PatchJudge

        discriminator = PatchDiscriminator(
            in_channels=image.channels,
            channels=self.channels,
            layers=self.layers,
            norm_groups=self.norm_groups,
        )
        return PatchJudge(discriminator, loss=self.loss)
