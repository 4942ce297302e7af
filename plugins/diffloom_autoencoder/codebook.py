"""Vectors that stand for all that are near them. Legend: B batch, C channels, H, W, L places, K entries."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PLACES = 4096
"""Places looked up at once: their distances to 16,384 entries take 256 MiB."""


class Codebook(nn.Module):
    """Each place of the latents becomes the nearest entry (van den Oord et al. 2017, eqs. 1 and 2)."""

    def __init__(self, *, entries: int, channels: int) -> None:
        super().__init__()
        self.entries_KC = nn.Parameter(torch.empty(entries, channels).uniform_(-1 / entries, 1 / entries))

    def forward(self, latents_BCHW: Tensor) -> Tensor:
        """The entries, in the latents' dtype; a gradient reaches them, and not the latents."""
        places_BHWC = latents_BCHW.movedim(1, 3)
        chosen_L = self._nearest(places_BHWC.flatten(0, 2))
        entries_BHWC = self.entries_KC[chosen_L].view(places_BHWC.shape)
        return entries_BHWC.movedim(3, 1).to(latents_BCHW.dtype)

    @torch.no_grad()
    def _nearest(self, places_LC: Tensor) -> Tensor:
        """Index of each place's entry. Differences are squared, not multiplied out, which would blur near ties."""
        dtype = torch.promote_types(places_LC.dtype, torch.float32)
        entries_KC = self.entries_KC.to(dtype)
        exact = "donot_use_mm_for_euclid_dist"
        return torch.cat(
            [
                torch.cdist(part_LC, entries_KC, compute_mode=exact).argmin(dim=1)
                for part_LC in torch.split(places_LC.to(dtype), PLACES)
            ]
        )
