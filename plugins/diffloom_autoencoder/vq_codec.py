"""The autoencoder of a codebook. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from diffloom.kinds import Reconstruction
from diffloom_autoencoder.codebook import Codebook
from diffloom_autoencoder.codec import Handling, LatentCodec
from diffloom_autoencoder.stage import Side

if TYPE_CHECKING:
    from diffloom.process import Draws


class VQCodec(LatentCodec):
    """Latents are what the encoder gives; the decoder begins with the codebook.

    So diffusion works on numbers that vary smoothly, as in latent-diffusion's VQ first stages (Rombach et al. 2022,
    section 3.1: "the quantization layer is absorbed by the decoder").
    """

    def __init__(
        self,
        *,
        encoder: Side,
        decoder: Side,
        codebook: Codebook,
        commitment: float,
        channels: tuple[int, int],
        factor: int,
        handling: Handling,
    ) -> None:
        super().__init__(
            encoder=encoder, decoder=decoder, channels=channels, factor=factor, handling=handling
        )
        self.codebook = codebook
        self.commitment = commitment

    def decoded(self, latents_BCHW: Tensor) -> Tensor:
        self.check_latents(latents_BCHW)
        return super().decoded(self.codebook(latents_BCHW))

    def reconstruct(self, images_BCHW: Tensor, *, draws: Draws) -> Reconstruction:
        """Through the codebook; the gradient passes it by, from the decoder to the encoder. Draws nothing.

        The codebook's loss is ‖sg[z] − e‖² + β·‖z − sg[e]‖² (Esser et al. 2021, eq. 4), summed over the latents,
        β the weight of the commitment. Latent-diffusion's own networks were trained with β in front of the first
        term instead, a slip that its code keeps as `legacy`, and with the mean in place of the sum.
        """
        self.check_pictures(images_BCHW)
        latents_BCHW = self.encoder(images_BCHW)
        entries_BCHW = self.codebook(latents_BCHW)
        to_entries = (latents_BCHW.detach() - entries_BCHW) ** 2
        to_latents = (latents_BCHW - entries_BCHW.detach()) ** 2
        passed_BCHW = latents_BCHW + (entries_BCHW - latents_BCHW).detach()  # the straight-through estimate
        return Reconstruction(
            images_BCHW=images_BCHW,
            reconstructed_BCHW=self.decoder(passed_BCHW),
            regularisation_B=(to_entries + self.commitment * to_latents).flatten(1).sum(dim=1),
            last_layer=self.decoder.last_layer,
        )
