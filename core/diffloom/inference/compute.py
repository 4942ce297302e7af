"""What a network computes in, chosen for a device before the first call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import nn

from diffloom.errors import DiffloomError
from diffloom.inference.gains import Gains, gains
from diffloom.inference.observed import is_observed, own_methods
from diffloom.nn.winograd import CHANNELS
from diffloom.nn.winograd import CLEARLY_FASTER as WINOGRAD_PAYS

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
TYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
HALVES = (torch.bfloat16, torch.float16)

LARGE = 5_000_000
"""Parameters from which `auto` considers half precision. A network of 1.4 M on 8×8 pictures took 1.1–1.6 times as long
in bf16 where one of 35.7 M took 1.5: small ones have little to gain, and stay exact."""
CLEARLY_FASTER = 1.3
"""How much faster bf16 must compute a network's layers than the fastest way in float32 for `auto` to take it."""


@dataclass(frozen=True)
class Compute:
    """How a network computes."""

    dtype: torch.dtype
    """Of its weights and activations; what matters stays in float32."""
    channels_last: bool = False
    """Whether pictures lie in memory pixel by pixel."""
    tf32: bool = False
    """Whether NVIDIA GPUs round the factors of float32 products."""
    device: torch.device | None = None
    """Where; None is where the network is."""
    compiled: Literal["not", "blocks", "graphs"] = "not"
    """Whether blocks are compiled, and on a GPU each recorded as one CUDA graph."""

    @property
    def is_half(self) -> bool:
        """Whether it computes in half precision."""
        return self.dtype in HALVES

    @property
    def precision(self) -> Precision:
        """The word in a configuration that chooses this again; `auto`, the network's own type, where none does."""
        if self.tf32:
            return "tf32"
        return next((name for name, dtype in TYPES.items() if dtype == self.dtype), "auto")


def chosen_compute(
    precision: Precision,
    network: nn.Module,
    *,
    device: torch.device | None = None,
    compiles: bool = False,
    remembers: bool = False,
) -> Compute:
    """How this network computes on a device, or where it is.

    It `compiles` its blocks where that is asked for. What a network `remembers` from call to call outlives the memory
    of a CUDA graph, so that none is recorded then.

    `auto` is the type of the network's own weights, but for large networks of float32 on devices that were measured
    to compute such layers clearly faster in bf16. A network that someone looks into (`is_observed`) has no copy that
    they did not ask for. Raises DiffloomError for a type that the device does not compute.
    """
    own = own_type(network)
    place = device or own_device(network)
    is_auto = precision == "auto" or not has_weights(
        network
    )  # what has no weights has no type to bring them to
    dtype = _measured(network, place, own) if is_auto else TYPES[precision]
    if not is_auto and (fault := type_fault(dtype, place)) is not None:
        raise DiffloomError(
            f"sampling.precision: {precision} cannot be computed on {place.type}: {fault}; take "
            f"{'bf16 or ' if precision == 'fp16' else ''}fp32, or auto"
        )
    replaced = [name for module in network.modules() for name in own_methods(module)]
    if dtype != own and replaced:
        raise DiffloomError(
            f"sampling.precision: {precision} needs a copy of the network, which what {', '.join(replaced)} of the "
            f"network itself was replaced with does not know; take auto, or bring the network to the type yourself"
        )
    return Compute(
        dtype=dtype,
        channels_last=not is_observed(network) and gains_by_layout(network, place, dtype, precision),
        tf32=precision == "tf32",
        device=device,
        compiled="not" if not compiles else "graphs" if place.type == "cuda" and not remembers else "blocks",
    )


def settled(precision: Precision, network: nn.Module) -> Precision:
    """The word that chooses the same wherever the network is: `auto` only where that is its weights' own type."""
    is_settled = precision != "auto" or own_type(network) != torch.float32
    return precision if is_settled else chosen_compute(precision, network).precision


def has_weights(network: nn.Module) -> bool:
    """Whether a network has any."""
    return any(weight.is_floating_point() for weight in network.parameters())


def own_type(network: nn.Module) -> torch.dtype:
    """The type of a network's weights; float32 for those without."""
    return next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)


def own_device(network: nn.Module) -> torch.device:
    """Where a network's weights are; the CPU for those without."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def _measured(network: nn.Module, device: torch.device, own: torch.dtype) -> torch.dtype:
    """bf16 where it pays."""
    size = sum(weight.numel() for weight in network.parameters())
    if own != torch.float32 or size < LARGE or is_observed(network):
        return own
    found = gains(device, threads=1 if device.type == "cpu" else None)  # a CPU's threads have rows each
    return torch.bfloat16 if _gain(network, found) >= CLEARLY_FASTER else own


def _gain(network: nn.Module, measured: Gains) -> float:
    """How many times faster bf16 computes the network's layers than the fastest way in float32, each layer weighed by
    its parameters: by Amdahl's law.
    """
    if not (measured.convolution and measured.product):
        return 0.0
    spatial = sum(weight.numel() for weight in network.parameters() if _is_spatial(weight))
    wide = sum(weight.numel() for weight in network.parameters() if _is_wide(weight))
    rest = sum(weight.numel() for weight in network.parameters()) - spatial
    by_winograd = measured.winograd if measured.winograd >= WINOGRAD_PAYS else 1.0
    exact = wide / by_winograd + (spatial - wide) + rest
    return exact / (spatial / measured.convolution + rest / measured.product)


def _is_wide(weight: torch.Tensor) -> bool:
    """Whether it is the kernel of a convolution that may be computed by Winograd's way, if that pays here."""
    return weight.dim() == 4 and weight.shape[2:] == (3, 3) and min(weight.shape[:2]) >= CHANNELS


def _is_spatial(weight: torch.Tensor) -> bool:
    """Whether it is the kernel of a convolution of several pixels."""
    return weight.dim() == 4 and weight[0, 0].numel() > 1


def gains_by_layout(
    network: nn.Module, device: torch.device, dtype: torch.dtype, precision: Precision
) -> bool:
    """Whether the layout pixel by pixel is faster: for networks of convolutions.

    On CPUs it was by 1 to 18 % in float32, in every U-Net measured (0.4 to 36 M parameters, 8×8 to 32×32 pixels,
    batches of 1 to 64), and by less in bf16. NVIDIA's tensor cores compute in it, and convert what comes otherwise.
    Elsewhere nothing is known.
    """
    if not any(_is_spatial(weight) for weight in network.parameters()):
        return False
    on_tensor_cores = dtype in HALVES or precision == "tf32"
    return {"cpu": dtype in (torch.float32, *HALVES), "cuda": on_tensor_cores}.get(device.type, False)


@cache
def type_fault(dtype: torch.dtype, device: torch.device) -> str | None:
    """Why a device does not compute the layers of networks in a type; None where it does. Found out by trying."""
    try:
        x_BCHW = torch.ones(1, 4, 4, 4, device=device, dtype=dtype)
        h_BCHW = nn.functional.group_norm(
            nn.functional.conv2d(x_BCHW, x_BCHW.expand(4, 4, 4, 4), padding=2), 2
        )
        nn.functional.softmax(h_BCHW @ h_BCHW.mT, dim=-1)
    except (RuntimeError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return None


@cache
def mixes_norms(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a device normalises numbers of this type with weights of float32."""
    x_BC11, weight_C = torch.ones(1, 2, 1, 1, device=device, dtype=dtype), torch.ones(2, device=device)
    try:
        nn.functional.group_norm(x_BC11, 1, weight_C, weight_C)
        nn.functional.layer_norm(x_BC11[..., 0, 0], (2,), weight_C, weight_C)
    except RuntimeError:
        return False
    return True
