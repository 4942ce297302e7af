"""Kind `space`: where diffusion happens; `encode` and `decode`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from diffloom.kinds.component import Component
from diffloom.kinds.info import ImageInfo, SpaceInfo

if TYPE_CHECKING:
    from torch import Tensor, nn

    from diffloom.process import Draws


class Codec(Protocol):
    """What the module that a space builds can do. Images are in [-1, 1]."""

    def encode(self, images_BCHW: Tensor) -> Tensor:
        """Pictures → what is diffused."""
        ...

    def decode(self, x_BCHW: Tensor) -> Tensor:
        """What is diffused → pictures."""
        ...


@runtime_checkable
class PosteriorCodec(Codec, Protocol):
    """A codec that encodes a picture as a distribution. `encode` gives its mode."""

    def posterior(self, images_BCHW: Tensor) -> Tensor:
        """All there is to know of the distributions, as one tensor (B, …): what a cache of latents keeps. It is the
        same with any normalisation, which `draw` applies.
        """
        ...

    def draw(self, posterior: Tensor, eps_BCHW: Tensor | None) -> Tensor:
        """Points of the space: with standard normal noise shaped like them, or (None) the modes. Each number is its
        mode and, times a deviation of its own, its noise.
        """
        ...


@dataclass(frozen=True)
class Reconstruction:
    """A training batch of an autoencoder, encoded and decoded, with its gradients."""

    images_BCHW: Tensor
    """The pictures, in [-1, 1]."""
    reconstructed_BCHW: Tensor
    """What the autoencoder made of them."""
    regularisation_B: Tensor
    """What keeps the latents in bounds: the divergence from a standard normal in nats, or the codebook's loss."""
    last_layer: Tensor
    """The weight of the decoder's last layer, by which criteria are balanced (Esser et al. 2021, eq. 7)."""


@runtime_checkable
class TrainableCodec(Codec, Protocol):
    """A codec that can be trained."""

    def reconstruct(self, images_BCHW: Tensor, *, draws: Draws) -> Reconstruction:
        """Encode and decode with gradients; noise comes from `draws`, keyed by example."""
        ...


class Space(Component):
    """Where diffusion happens."""

    kind: ClassVar[str] = "space"
    lossless: ClassVar[bool] = False
    """Whether `decode(encode(images))` is the images again, up to rounding: the conformance kit holds it to this."""

    @abstractmethod
    def info(self, image: ImageInfo) -> SpaceInfo:
        """The shape of the space for this picture, known without building. Raises ValueError when none fits."""

    @abstractmethod
    def build(self, *, image: ImageInfo) -> nn.Module:
        """The encoder and decoder: a module that is a `Codec`."""
