"""The autoencoder regularised by a divergence. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from diffloom.kinds import Reconstruction
from diffloom_autoencoder import posterior as normal
from diffloom_autoencoder.codec import LatentCodec

if TYPE_CHECKING:
    from diffloom.process import Draws


class KLCodec(LatentCodec):
    """Encodes a picture as the mode of its posterior; trained through draws from it."""

    def latents(self, encoded_BCHW: Tensor) -> Tensor:
        """The means, which are the modes."""
        mean_BCHW, _ = normal.parts(encoded_BCHW)
        return mean_BCHW

    def reconstruct(self, images_BCHW: Tensor, *, draws: Draws) -> Reconstruction:
        """Through a draw from the posterior, whose divergence is in nats, summed over the latents."""
        self.check_pictures(images_BCHW)
        posterior_BCHW = self.encoder(images_BCHW)
        mean_BCHW, _ = normal.parts(posterior_BCHW)
        eps_BCHW = draws.normal(
            "posterior", mean_BCHW.shape[1:], dtype=mean_BCHW.dtype, device=mean_BCHW.device
        )
        return Reconstruction(
            images_BCHW=images_BCHW,
            reconstructed_BCHW=self.decoder(normal.drawn(posterior_BCHW, eps_BCHW)),
            regularisation_B=normal.divergence(posterior_BCHW),
            last_layer=self.decoder.last_layer,
        )


class SampledKLCodec(KLCodec):
    """A `PosteriorCodec`: a diffusion model trains on draws, and whoever only encodes gets the mode."""

    def posterior(self, images_BCHW: Tensor) -> Tensor:
        """Mean and log-variance one after another, (B, 2·C, H, W), before any normalisation."""
        return self.encoded(images_BCHW)

    def draw(self, posterior: Tensor, eps_BCHW: Tensor | None) -> Tensor:
        """Normalised latents, drawn with this noise, or (None) the modes."""
        if eps_BCHW is None:
            return self.normalised(self.latents(posterior))
        return self.normalised(normal.drawn(posterior, eps_BCHW))
