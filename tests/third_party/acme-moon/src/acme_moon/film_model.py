"""The network. Legend: B batch, C channels, H height, W width, D vector width, E embedding width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from diffloom.condition import Condition
from diffloom.nn import SinusoidalEmbedding, TimestepMLP


class FilmBlock(nn.Module):
    """Depthwise 5×5, normalise, scale and shift (FiLM: Perez et al. 2018, eq. 2), widen, narrow (Liu et al. 2022)."""

    def __init__(self, *, width: int, emb_width: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.film = nn.Linear(emb_width, 2 * width)
        self.widen = nn.Conv2d(width, 4 * width, 1)
        self.narrow = nn.Conv2d(4 * width, width, 1)

    def forward(self, x_BCHW: Tensor, emb_BE: Tensor) -> Tensor:
        """The picture with the block's change added."""
        scale_BC11, shift_BC11 = self.film(emb_BE)[:, :, None, None].chunk(2, dim=1)
        h_BCHW = self.norm(self.spread(x_BCHW)) * (1 + scale_BC11) + shift_BC11
        out_BCHW: Tensor = x_BCHW + self.narrow(functional.gelu(self.widen(h_BCHW)))
        return out_BCHW


class FilmModel(nn.Module):
    """A stack of blocks, each told the time, the class and the vector."""

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        width: int,
        blocks: int,
        classes: int = 0,
        vector_width: int = 0,
    ) -> None:
        super().__init__()
        emb_width = 4 * width
        self.sinusoids = SinusoidalEmbedding(width=width)
        self.time = TimestepMLP(width=width, emb_width=emb_width)
        self.classes = nn.Embedding(classes, emb_width) if classes else None
        self.vector = nn.Linear(vector_width, emb_width) if vector_width else None
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(FilmBlock(width=width, emb_width=emb_width) for _ in range(blocks))
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The network's output, (B, out_channels, H, W), in x's dtype."""
        emb_BE = self.time(self.sinusoids(t_B).to(x_BCHW.dtype))
        if self.classes is not None:
            emb_BE = emb_BE + self.classes(condition.class_B)
        if self.vector is not None:
            emb_BE = emb_BE + self.vector(condition.vector_BD)
        emb_BE = functional.silu(emb_BE)
        h_BCHW = self.first(x_BCHW)
        for block in self.blocks:
            h_BCHW = block(h_BCHW, emb_BE)
        out_BCHW: Tensor = self.last(h_BCHW)
        return out_BCHW
