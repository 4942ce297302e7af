"""Time as numbers a network can read.

Legend: B batch, D width of the sinusoids, K = D/2 frequencies, E width of the embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class SinusoidalEmbedding(nn.Module):
    """Sines and cosines of t at geometrically falling frequencies: (B,) → (B, width), float32.

    Vaswani et al. 2017, section 3.5. Frequency k of K = width/2 is 10000^(−k / (K − frequency_shift)). Two
    variants exist: Ho et al. 2020 put the sines first and end exactly at 1/10000 (`frequency_shift=1`);
    OpenAI's code, and CompVis's and most of diffusers' after it, puts the cosines first and ends one short of
    that (`cos_first=True, frequency_shift=0`). t may be fractional. Raises ValueError for an odd width, or
    one that leaves no second frequency.

    It is float32 whatever the network is, in the originals' order of operations, so that trained weights see
    the numbers they were trained with. Near t = 1000 half a unit in the last place is 3e-5, so phases are
    known to about 1e-4 radians: a ten-thousandth of the step from one t to the next. (bfloat16 could not
    tell 998 from 999.)
    """

    def __init__(self, *, width: int, cos_first: bool = False, frequency_shift: int = 1) -> None:
        super().__init__()
        if width % 2 or width // 2 <= frequency_shift:
            raise ValueError(f"a time embedding's width is even and above {2 * frequency_shift}, not {width}")
        self.frequencies = width // 2
        self.cos_first = cos_first
        self.frequency_shift = frequency_shift

    def forward(self, t_B: Tensor) -> Tensor:
        exponent_K = -math.log(10000) * torch.arange(self.frequencies, dtype=torch.float32, device=t_B.device)
        frequency_K = torch.exp(exponent_K / (self.frequencies - self.frequency_shift))
        phase_BK = t_B.float()[:, None] * frequency_K
        sin_BK, cos_BK = phase_BK.sin(), phase_BK.cos()
        return torch.cat([cos_BK, sin_BK] if self.cos_first else [sin_BK, cos_BK], dim=1)


class TimestepMLP(nn.Module):
    """Two layers with a SiLU between, from sinusoids to the embedding of time: (B, D) → (B, E).

    Ho et al. 2020 take E = 4·D. No activation at the end: other embeddings are added first.
    """

    def __init__(self, *, width: int, emb_width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, emb_width)
        self.mix = nn.Linear(emb_width, emb_width)

    def forward(self, sinusoids_BD: Tensor) -> Tensor:
        emb_BE: Tensor = self.mix(functional.silu(self.expand(sinusoids_BD)))
        return emb_BE
