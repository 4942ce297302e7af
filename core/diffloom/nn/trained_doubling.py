"""A doubling and the convolution behind it while they train: one transposed convolution whose kernel is made anew.

Legend: B batch, C channels, H height, W width, I channels in, O channels out; the digits are sizes of kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.folding import folds
from diffloom.nn.trained_conv import trains_exactly, trains_unobserved

FEWEST_PIXELS = 1024
"""Of a whole batch, before they are doubled. With fewer, making the kernel takes longer than it saves: forward and back
at 256 channels on a CPU, 16 pictures of 16×16 took 0.61 of the plain time, of 8×8 0.77, of 4×4 1.4."""


def trains_folded(conv: nn.Conv2d, x_BCHW: Tensor) -> bool:
    """Whether this is the moment for `convolved_doubled`: a step of training in float32 or autocast's bf16 on a CPU, on
    a picture that is large enough."""
    is_bf16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    trains = trains_unobserved if is_bf16 else trains_exactly
    return folds(conv) and x_BCHW[:, 0].numel() >= FEWEST_PIXELS and trains(conv, x_BCHW)


def convolved_doubled(x_BCHW: Tensor, conv: nn.Conv2d) -> Tensor:
    """`conv(doubled(x))` with 4/9 of the operations forward and back, and without the doubled picture in memory.

    `conv` is 3×3 with stride 1 and padding 1; `diffloom.nn.folding.doubling` says which taps become which. The kernel's
    gradient goes back through the sums of taps: the same as the plain one's, but for rounding. Autocast rounds these
    sums instead of the taps.
    """
    taps_IO33 = conv.weight.flip(2, 3).transpose(0, 1)
    taps_IO43 = functional.pad(taps_IO33, (0, 0, 0, 1)) + functional.pad(taps_IO33, (0, 0, 1, 0))
    taps_IO44 = functional.pad(taps_IO43, (0, 1)) + functional.pad(taps_IO43, (1, 0))
    return functional.conv_transpose2d(x_BCHW, taps_IO44, conv.bias, stride=2, padding=1)
