"""One level of an encoder or decoder, computed whole or tile by tile. Legend: B batch, C channels, H, W."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction

import torch
from torch import Tensor, nn

from diffloom.nn import ReadyConv2d, SelfAttention
from diffloom_autoencoder.extent import WHOLE, Extent, Tile, UnknownMomentsError, Window
from diffloom_autoencoder.moments import Moments


def layers(part: nn.Module) -> Iterator[nn.Module]:
    """A part and those inside it, but for the faster forms of convolutions, which stand beside these."""
    for child in part.children():
        if not isinstance(child, ReadyConv2d):
            yield from layers(child)
    yield part


class Stage(nn.Module):
    """Parts called one after another as `part(x_BCHW, extent)`: (B, C, H, W) → (B, C', scale·H, scale·W).

    Parts that change the resolution stand so that all convolutions of three pixels read the finer one: doubling
    comes first, halving last.
    """

    def __init__(self, *parts: nn.Module, scale: Fraction = Fraction(1)) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.scale = scale

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        for part in self.parts:
            x_BCHW = part(x_BCHW, extent)
        return x_BCHW

    @property
    def attends(self) -> bool:
        """Whether a pixel may depend on all others, beyond their mean and variance."""
        return any(isinstance(part, SelfAttention) for part in self.parts)

    @property
    def held_channels(self) -> int:
        """The most that are held at once, of the finer resolution, where a picture is computed strip by strip: what a
        convolution reads, then what it gives and what stands beside it.
        """
        return max(
            (
                conv.out_channels
                if isinstance(conv, nn.ConvTranspose2d)
                else max(conv.in_channels, 2 * conv.out_channels)
                for conv in layers(self)
                if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
            ),
            default=0,
        )

    @property
    def taps(self) -> int:
        """Multiplications of its convolutions for a pixel of the finer resolution: of a convolution between the two,
        one pixel in stride² has them.
        """
        return sum(
            conv.weight.numel() // conv.stride[0] ** 2
            for conv in layers(self)
            if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
        )

    @property
    def margin(self) -> int:
        """How far a pixel's value is decided, in pixels of the input: one finer pixel for each convolution."""
        finer = max(self.scale, Fraction(1))
        reach = sum(part.kernel_size[0] // 2 for part in layers(self) if isinstance(part, nn.Conv2d))
        reach += sum(
            isinstance(part, nn.ConvTranspose2d) for part in layers(self)
        )  # of 3 pixels, once doubled
        pixels = -(-reach // int(finer))
        return pixels + pixels % self.scale.denominator

    def within(self, x_BCHW: Tensor, *, tile: int | None) -> Tensor:
        """The same in windows of `tile` input pixels a side, or all at once with null.

        A level whose pixels attend to each other is computed whole: these are the coarsest, with few pixels.
        """
        if tile is None or self.attends or max(x_BCHW.shape[2:]) <= tile:
            out_BCHW: Tensor = self(x_BCHW)
            return out_BCHW
        return self.tiled(x_BCHW, tile=tile)

    def tiled(self, x_BCHW: Tensor, *, tile: int) -> Tensor:
        """The same, of windows of `tile` input pixels a side, so that nothing large is held but input and output.

        No approximation and no blending. A window is computed with a margin that holds all it depends on; and as a
        normalisation depends on the whole picture, the windows are passed over once more for each of them, up to
        it, to measure. The k normalisations of a level so cost (k + 1) / 2 times its work, and the overlap.
        """
        known: dict[nn.GroupNorm, Moments] = {}
        out_BCHW: Tensor | None = None
        while out_BCHW is None:
            parts: list[Moments] = []
            for extent in self._tiles(x_BCHW, tile, known):
                try:
                    y_BCHW = extent.core(self(extent.seen.of(x_BCHW), extent))
                except UnknownMomentsError as unknown:
                    norm = unknown.norm
                    parts.append(unknown.moments)  # alone: the exception holds every tensor of the tile
                    continue
                if out_BCHW is None:
                    height, width = (int(side * self.scale) for side in x_BCHW.shape[2:])
                    out_BCHW = y_BCHW.new_empty((*y_BCHW.shape[:2], height, width))
                extent.window.at(self.scale.numerator, self.scale.denominator).of(out_BCHW).copy_(y_BCHW)
            if parts:
                known[norm] = Moments.together(parts)
        return out_BCHW

    def _tiles(self, x_BCHW: Tensor, tile: int, known: dict[nn.GroupNorm, Moments]) -> Iterator[Tile]:
        height, width = x_BCHW.shape[2:]
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                window = Window(top, min(top + tile, height), left, min(left + tile, width))
                seen = Window(
                    max(window.top - self.margin, 0),
                    min(window.bottom + self.margin, height),
                    max(window.left - self.margin, 0),
                    min(window.right + self.margin, width),
                )
                yield Tile(seen=seen, window=window, known=known)


class Side(nn.Module):
    """An encoder or a decoder: stages one after another."""

    def __init__(self, *stages: Stage) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x_BCHW: Tensor, *, tile: int | None = None) -> Tensor:
        """`tile` is the side of a window in pixels of x; null computes all at once."""
        for stage in self.stages:
            assert isinstance(stage, Stage)
            x_BCHW = stage.within(x_BCHW, tile=tile)
            tile = tile and int(tile * stage.scale)
        return x_BCHW

    def divided(self, x_BCHW: Tensor, *, rows: int | None, tile: int | None) -> tuple[int, int | None]:
        """How many pictures are computed at once, and in windows of what side: as was said."""
        return rows or max(len(x_BCHW), 1), tile

    def for_inference(self) -> nn.Module:
        """The same where no gradients are wanted, strip by strip."""
        from diffloom_autoencoder.strip_side import StripSide

        return StripSide(*self.stages)

    def keeps_float32(self) -> Collection[str]:
        """The last convolution of several pixels, and those of single ones behind it: what a picture is made of is not
        rounded to half precision.
        """
        names: list[str] = []
        for name, part in reversed(list(self.named_modules())):
            if isinstance(part, nn.Conv2d):
                names.append(name)
                if part.kernel_size != (1, 1):
                    break
        return names

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in, but for what is kept in float32."""
        return next(self.parameters()).dtype

    def dtype_for(self, given: torch.dtype) -> torch.dtype:
        """Of the result: what was given, or the last layer's where that is exacter than the rest."""
        return self.last_layer.dtype if given == self.dtype else given

    @property
    def last_layer(self) -> Tensor:
        """The weight of the last convolution."""
        *_, last = (part for part in layers(self) if isinstance(part, nn.Conv2d))
        return last.weight
