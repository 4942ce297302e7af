"""Residual blocks. Legend: B batch, C channels, H height, W width, E embedding width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.block import Block
from diffloom.nn.dropout import Dropout
from diffloom.nn.folding import is_plain_conv
from diffloom.nn.initial import zeroed
from diffloom.nn.ready_blocks import ReadyResidualBlock, ReadyScaleShiftResidualBlock
from diffloom.nn.signal import Signal
from diffloom.nn.trained_conv import convolved
from diffloom.nn.trained_norm import activated


class ResidualBlock(Block):
    """Two normalised convolutions around an added embedding, beside a shortcut (Ho et al. 2020, appendix B).

    (B, in_channels, H, W) → (B, out_channels, H, W); reads `signal.emb_BE`. The shortcut is the identity,
    or a 1×1 convolution where the channels change. Dropout stands before the second convolution. With `resize`,
    which changes height and width (`halved`, `doubled`), what enters the first convolution and the shortcut are both
    resized (Dhariwal & Nichol 2021, section 3, after Brock et al. 2019). A block that uses the embedding in another
    way overrides `embed` and `emb_parts`.
    """

    emb_parts: ClassVar[int] = 1
    """Numbers that the embedding gives each channel."""

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        emb_width: int,
        norm_groups: int = 32,
        norm_eps: float = 1e-6,
        dropout: float = 0.0,
        resize: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.resize = resize
        self.norm1 = nn.GroupNorm(norm_groups, in_channels, eps=norm_eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.emb = nn.Linear(emb_width, self.emb_parts * out_channels)
        self.norm2 = nn.GroupNorm(norm_groups, out_channels, eps=norm_eps)
        self.dropout = Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d, out_channels, out_channels, 3, padding=1)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def __call__(self, x_BCHW: Tensor, signal: Signal) -> Any:
        return super().__call__(x_BCHW, signal.of(self))

    def forward(self, x_BCHW: Tensor, signal: Signal) -> Tensor:
        h_BCHW = activated(x_BCHW, self.norm1)
        if self.resize is not None:
            h_BCHW, x_BCHW = self.resize(h_BCHW), self.resize(x_BCHW)
        h_BCHW = convolved(h_BCHW, self.conv1)
        h_BCHW = self.embed(h_BCHW, signal)
        h_BCHW = convolved(self.dropout(h_BCHW), self.conv2)
        out_BCHW: Tensor = self.shortcut(x_BCHW) + h_BCHW
        return out_BCHW

    def for_inference(self) -> nn.Module:
        """The same block for samples; one that is, or holds, anything of another class keeps its own form."""
        return ReadyResidualBlock(self) if type(self) is ResidualBlock and self._holds_its_own else self

    @property
    def _holds_its_own(self) -> bool:
        """Whether the layers are those that it began with, and not what somebody has put in their place."""
        return (
            is_plain_conv(self.conv1)
            and is_plain_conv(self.conv2)
            and (type(self.shortcut) is nn.Identity or is_plain_conv(self.shortcut))
            and type(self.norm1) is type(self.norm2) is nn.GroupNorm
            and type(self.dropout) is Dropout
        )

    def embed(self, h_BCHW: Tensor, signal: Signal) -> Tensor:
        """The second normalisation, of h with the embedding in it, activated."""
        return activated(h_BCHW + signal.projected(self.emb)[:, :, None, None], self.norm2)


class ScaleShiftResidualBlock(ResidualBlock):
    """A residual block whose embedding scales and shifts the second normalisation.

    Nichol & Dhariwal 2021, section 3; "adaptive group normalisation" in Dhariwal & Nichol 2021, eq. 13.
    """

    emb_parts = 2

    def embed(self, h_BCHW: Tensor, signal: Signal) -> Tensor:
        """silu(norm(h) · (1 + scale) + shift)."""
        scale_BC11, shift_BC11 = signal.projected(self.emb)[:, :, None, None].chunk(2, dim=1)
        return functional.silu(self.norm2(h_BCHW) * (1 + scale_BC11) + shift_BC11)

    def for_inference(self) -> nn.Module:
        """The same block for samples; one that is, or holds, anything of another class keeps its own form."""
        is_own = type(self) is ScaleShiftResidualBlock and self._holds_its_own
        return ReadyScaleShiftResidualBlock(self) if is_own else self
