"""The gradient of a 3×3 kernel with 4/9 of the multiplications: the transposed of `diffloom.nn.winograd`.

Where that multiplies sums of inputs by sums of taps, this multiplies sums of inputs by sums of the outputs' gradients,
and adds up over all squares: 16 products there as here, where there were 36.

Legend: B batch, I channels in, O channels out, H height, W width; n pictures, b rows and w columns of a band, in
squares of 2×2 pixels, X all its squares; u and v are a product's place in the 4×4, and 2 is which of two neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.nn.winograd import Sums, rows_of, squares, windows
from diffloom.nn.winograd_taps import slope_of_taps


def weight_slope(x_BIHW: Tensor, slope_BOHW: Tensor) -> Tensor:
    """(O, I, 3, 3): Gᵀ [Σ (A s Aᵀ) ⊙ (Bᵀ d B)] G over all squares, s being one of the outputs' gradients.

    As eq. 8 of Lavin & Gray 2016 has the outputs, Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, differentiated by g.
    """
    inner, outer = x_BIHW.shape[1], slope_BOHW.shape[1]
    slope_BHWO = slope_BOHW.permute(0, 2, 3, 1)
    sums_uvOI = x_BIHW.new_zeros(4, 4, outer, inner)
    square_bytes = 6 * (inner + outer) * x_BIHW.element_size()
    bands: dict[torch.Size, _SlopeBand] = {}
    for some, pixels, window_nh2wI in windows(x_BIHW.permute(0, 2, 3, 1), square_bytes=square_bytes):
        size = window_nh2wI.shape
        if size not in bands:
            bands[size] = _SlopeBand(window_nh2wI, outer=outer)
        bands[size].add(window_nh2wI, squares(slope_BHWO[some, pixels]), sums_uvOI)
    return slope_of_taps(sums_uvOI)


class _SlopeBand(Sums):
    """The memory that bands of one size are added up in."""

    def __init__(self, window_nh2wI: Tensor, *, outer: int) -> None:
        pictures, height, _, columns, inner = window_nh2wI.shape
        rows, columns = height // 2 - 1, columns - 1
        super().__init__(window_nh2wI, pictures=pictures, rows=rows, columns=columns, inner=inner)
        self.row_2nbwO = window_nh2wI.new_empty(2, pictures, rows, columns, outer)
        slopes_vnbwO = window_nh2wI.new_empty(4, pictures, rows, columns, outer)
        self.slopes, self.slopes_vOX = slopes_vnbwO.unbind(0), slopes_vnbwO.flatten(1, 3).transpose(1, 2)

    def add(self, window_nh2wI: Tensor, slope_22nbwO: Tensor, sums_uvOI: Tensor) -> None:
        """Add the products of all its squares to `sums`."""
        a, b, c, d = rows_of(window_nh2wI)
        upper_2nbwO, lower_2nbwO = slope_22nbwO
        row, other = self.row_nb2wI, self.row_2nbwO
        torch.sub(a, c, out=row)
        self._multiply(upper_2nbwO, sums_uvOI[0])
        torch.add(b, c, out=row)
        self._multiply(torch.add(upper_2nbwO, lower_2nbwO, out=other), sums_uvOI[1])
        torch.sub(c, b, out=row)
        self._multiply(torch.sub(upper_2nbwO, lower_2nbwO, out=other), sums_uvOI[2])
        torch.sub(b, d, out=row)
        self._multiply(lower_2nbwO, sums_uvOI[3])

    def _multiply(self, slope_2nbwO: Tensor, sums_vOI: Tensor) -> None:
        """Add the products of the sum of rows that is in `row` with one of the slopes' rows."""
        left, right = slope_2nbwO
        first, second, third, fourth = self.slopes
        first.copy_(left)
        torch.add(left, right, out=second)
        torch.sub(left, right, out=third)
        fourth.copy_(right)  # to be subtracted, which `slope_of_taps` does
        torch.baddbmm(sums_vOI, self.slopes_vOX, self.of_columns(), out=sums_vOI)
