"""oneDNN's products with their weights in the layout that it computes in: see `packed_conv`.

What torch calls on CPUs copies the bias to the result before it multiplies, and sorts the weights at every call.
Legend: I numbers in, O numbers out.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

WORTHWHILE = 100_000
"""Weights: with fewer, a call of oneDNN's operator, some 20 µs more than torch's own, costs what sorting does."""


class PackedLinear(nn.Module):
    """A linear layer with sorted weights, which take the memory of the plain ones: (…, I) → (…, O).

    Only where there is no fault. Where gradients may be wanted and where torch compiles, it computes the plain way.
    """

    packed: Tensor
    """The weights in oneDNN's own layout."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        with torch.no_grad():
            packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.contiguous(), None)
        self.register_buffer("packed", packed, persistent=False)
        self.bias = linear.bias

    def forward(self, x_I: Tensor) -> Tensor:
        """x·Wᵀ + b."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return functional.linear(x_I, self.packed.to_dense(), self.bias)
        out_O: Tensor = torch.ops.mkldnn._linear_pointwise(x_I, self.packed, self.bias, "none", [], "")
        return out_O


@cache
def linear_packing_fault(dtype: torch.dtype) -> str | None:
    """Why sorted weights cannot be had in this type on this machine; None where they can, and give what torch gives."""
    linear = nn.Linear(16, 24).to(dtype).requires_grad_(False)
    x_BI = torch.linspace(-1, 1, 48).view(3, 16).to(dtype)
    with torch.no_grad():
        try:
            packed = PackedLinear(linear)
            found = packed(x_BI)
            plain_OI = packed.packed.to_dense()
        except (RuntimeError, AttributeError, TypeError, NotImplementedError) as error:
            return str(error).splitlines()[0]
        expected = functional.linear(x_BI.double(), linear.weight.double(), linear.bias.double())
        tolerance = 100 * torch.finfo(dtype).eps
        if not torch.equal(plain_OI, linear.weight) or (found.double() - expected).abs().max() > tolerance:
            return "oneDNN's operators give another result"
    return None


def ready_linear(linear: nn.Linear) -> nn.Module:
    """The form of a linear layer that is fastest here."""
    packs = (
        linear.weight.device.type == "cpu"
        and linear.weight.numel() >= WORTHWHILE
        and linear_packing_fault(linear.weight.dtype) is None
    )
    return PackedLinear(linear) if packs else linear
