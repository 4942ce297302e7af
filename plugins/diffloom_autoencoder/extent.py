"""How much of a picture a block sees: all of it, or a tile. Legend: B batch, C channels, G groups, H, W."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from diffloom.nn import Signal
from diffloom_autoencoder.moments import Moments


@dataclass(frozen=True)
class Extent(Signal):
    """The whole picture. Blocks have their input normalised by it, for a tile cannot know the picture's moments."""

    def normalise(self, norm: nn.GroupNorm, x_BCHW: Tensor) -> Tensor:
        """`norm(x)`, its mean and variance those of the whole picture."""
        out_BCHW: Tensor = norm(x_BCHW)
        return out_BCHW


WHOLE = Extent()
"""Nothing is left out."""


class UnknownMomentsError(Exception):
    """A tile has come to a normalisation whose moments are not known yet; carries what the tile adds to them."""

    def __init__(self, norm: nn.GroupNorm, moments: Moments) -> None:
        super().__init__("the moments of a normalisation are not known yet")
        self.norm = norm
        self.moments = moments


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture's pixels; the ends are left out."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.bottom - self.top, self.right - self.left

    def of(self, x_BCHW: Tensor) -> Tensor:
        """What `x` holds there."""
        return x_BCHW[..., self.top : self.bottom, self.left : self.right]

    def at(self, numerator: int, denominator: int) -> Window:
        """The same place in a picture that is numerator/denominator times as large."""
        edges = (self.top, self.bottom, self.left, self.right)
        return Window(*(edge * numerator // denominator for edge in edges))


@dataclass(frozen=True)
class Tile(Extent):
    """A window with a margin around it: right within the window, and made of guessed neighbours at the margin's rim."""

    seen: Window = field(kw_only=True)
    """Window and margin, in pixels of the whole picture as it entered."""
    window: Window = field(kw_only=True)
    """The window alone."""
    known: Mapping[nn.GroupNorm, Moments] = field(kw_only=True)
    """The whole picture's moments where these were measured."""

    def normalise(self, norm: nn.GroupNorm, x_BCHW: Tensor) -> Tensor:
        """By the moments of the whole picture. Raises UnknownMomentsError before they are known."""
        if norm not in self.known:
            raise UnknownMomentsError(norm, Moments.of(self.core(x_BCHW), groups=norm.num_groups))
        return self.known[norm].normalise(norm, x_BCHW)

    def core(self, x_BCHW: Tensor) -> Tensor:
        """The window's part of something computed from the tile, whatever its resolution."""
        top, left = self.seen.top, self.seen.left
        inner = Window(
            self.window.top - top, self.window.bottom - top, self.window.left - left, self.window.right - left
        )
        return inner.at(x_BCHW.shape[2], self.seen.size[0]).of(x_BCHW)
