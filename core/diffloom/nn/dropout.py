"""Dropout whose masks belong to the examples. Legend: B batch, L keyed layers, M words of a mask, N its bits' lanes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.splitmix import split
from diffloom.process import Draws

LANE_BITS = 16
"""Random bits for each activation."""
LANES = 64 // LANE_BITS


class Dropout(nn.Module):
    """While training drops each activation with probability p; the others grow by 1 / (1 − p): (B, …) → (B, …).

    Srivastava et al. 2014, in the inverted form. Where `key_dropout` has keyed it, the mask of an example is a function
    of (seed, example, layer): the same however a batch is divided among passes and processes, and whenever the layer
    is computed again. Otherwise it draws from torch's generator, as `nn.Dropout` does. p is held to 1/65536. Raises
    ValueError for p outside [0, 1), and for a batch of another size than the keys.
    """

    keys_B: Tensor | None
    """A 64-bit key for each example of the batch; None where nothing is keyed."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout has a probability in [0, 1), not {p}")
        self.p = p
        self.keys_B = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.keys_B is None:
            return functional.dropout(x, self.p)
        if len(x) != len(self.keys_B):
            raise ValueError(
                f"dropout is keyed for a batch of {len(self.keys_B)} examples and was given one of {len(x)}; "
                "key it for that one (`diffloom.nn.key_dropout`), or keep one row for each example"
            )
        dropped = min(round(self.p * 2**LANE_BITS), 2**LANE_BITS - 1)  # of so many values of a lane
        # The mask is all that autograd keeps: a byte for each activation.
        kept = (_opaque_kept if torch.compiler.is_compiling() else _kept)(self.keys_B, x.shape, dropped)
        out: Tensor = x * kept * (2**LANE_BITS / (2**LANE_BITS - dropped))
        return out

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _kept(keys_B: Tensor, shape: Sequence[int], dropped: int) -> Tensor:
    """Which activations stay, as booleans: those whose lane is not among the `dropped` lowest values."""
    count = math.prod(shape[1:])
    places_M = torch.arange(-(-count // LANES), device=keys_B.device)
    lanes_BN = split(keys_B[:, None], places_M).view(torch.int16)  # signed, from −2¹⁵
    kept: Tensor = (lanes_BN[:, :count] >= dropped - 2 ** (LANE_BITS - 1)).view(shape)
    return kept


# The same, as one operation that torch.compile leaves as it is: a mask must be the same compiled as not, and what torch
# 2.13 compiles for CPUs gets the last words of a row wrong. Its schema is written out because `custom_op` looks through
# all imported modules for the place where it was called, which takes as long as building a small network.
torch.library.define("diffloom::kept", "(Tensor keys_B, SymInt[] shape, int dropped) -> Tensor")
torch.library.impl("diffloom::kept", "CompositeExplicitAutograd", _kept)
_opaque_kept = torch.ops.diffloom.kept.default


@torch.library.impl("diffloom::kept", "Meta")
def _form_of_kept(keys_B: Tensor, shape: Sequence[int], dropped: int) -> Tensor:
    return keys_B.new_empty(shape, dtype=torch.bool)


@torch.no_grad()
def key_dropout(module: nn.Module, draws: Draws) -> None:
    """Key every `Dropout` in a module for a batch, until it is keyed for the next: call it before each pass.

    A mask is a function of (seed, sample, step) in `draws` and the layer's dotted name in `module`.
    """
    layers = dict(_dropping(module))
    if not layers:
        return
    device = next((weight.device for weight in module.parameters()), torch.device("cpu"))
    words = np.array(draws.keys, dtype=np.uint64).view(np.int64).reshape(-1, 2)
    seeds_B, samples_B = torch.from_numpy(words).unbind(1)
    keys_B = split(split(split(torch.zeros((), dtype=torch.int64), seeds_B), samples_B), draws.step).to(
        device
    )
    names_L = torch.tensor([_word(name) for name in layers], device=device)
    for layer, row_B in zip(layers.values(), split(keys_B, names_L[:, None]).unbind(0), strict=True):
        layer.keys_B = row_B


def unkeyed_dropout(module: nn.Module) -> list[str]:
    """The dotted names of torch's own dropout layers that act in a module: their masks depend on how a batch is split.

    Layers in evaluation mode do not act, so frozen parts are not told.
    """
    return [name for name, layer in module.named_modules() if layer.training and _own_probability(layer) > 0]


def _own_probability(layer: nn.Module) -> float:
    if isinstance(layer, nn.modules.dropout._DropoutNd):
        return layer.p
    if isinstance(layer, nn.MultiheadAttention | nn.RNNBase):
        return float(layer.dropout)
    return 0.0


def _dropping(module: nn.Module) -> Iterator[tuple[str, Dropout]]:
    return (
        (name, layer) for name, layer in module.named_modules() if isinstance(layer, Dropout) and layer.p > 0
    )


def _word(name: str) -> int:
    """The name as 64 bits."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)
