"""diffusers' autoencoders of small shapes, and ours with their weights; and how much memory a computation holds."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL as DiffusersKL
from diffusers import AutoencoderTiny as DiffusersTiny
from diffusers import VQModel as DiffusersVQ
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diffloom.bridge import Bridge, Foreign, Inferred, MemoryTensors, fill
from diffloom.kinds import Space
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, TinyAutoencoder


def levels(attends: str) -> dict[str, Any]:
    """diffusers' block types from a word such as "-A", A where a level attends."""
    prefix = ["Attn" if letter == "A" else "" for letter in attends]
    return {
        "down_block_types": tuple(f"{word}DownEncoderBlock2D" for word in prefix),
        "up_block_types": tuple(f"{word}UpDecoderBlock2D" for word in reversed(prefix)),
    }


SMALL = {"norm_num_groups": 4, "sample_size": 32, "layers_per_block": 2}
OPTIONS: dict[str, tuple[type[nn.Module], type[Space], dict[str, Any]]] = {
    "KL": (DiffusersKL, AutoencoderKL, {**SMALL, **levels("---"), "block_out_channels": (8, 16, 16)}),
    "KL that attends": (
        DiffusersKL,
        AutoencoderKL,
        {
            **SMALL,
            **levels("-AA"),
            "block_out_channels": (8, 8, 12),
            "layers_per_block": 1,
            "scaling_factor": 0.3,
        },
    ),
    "KL of 16 channels": (
        DiffusersKL,
        AutoencoderKL,
        {
            **SMALL,
            **levels("--"),
            "block_out_channels": (8, 16),
            "latent_channels": 16,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "scaling_factor": 0.3611,
            "shift_factor": 0.1159,
        },
    ),
    "KL of one level": (
        DiffusersKL,
        AutoencoderKL,
        {**SMALL, **levels("-"), "block_out_channels": (8,), "in_channels": 1, "out_channels": 1},
    ),
    "VQ": (
        DiffusersVQ,
        AutoencoderVQ,
        {
            **SMALL,
            **levels("--"),
            "block_out_channels": (8, 16),
            "num_vq_embeddings": 40,
            "scaling_factor": 1.0,
        },
    ),
    "VQ that attends": (
        DiffusersVQ,
        AutoencoderVQ,
        {**SMALL, **levels("-A"), "block_out_channels": (8, 8), "latent_channels": 4, "num_vq_embeddings": 9},
    ),
    "tiny": (DiffusersTiny, TinyAutoencoder, {}),
    "tiny of 16 channels": (
        DiffusersTiny,
        TinyAutoencoder,
        {
            "latent_channels": 16,
            "encoder_block_out_channels": (8, 8, 8),
            "decoder_block_out_channels": (8, 8, 8),
            "num_encoder_blocks": (0, 1, 2),
            "num_decoder_blocks": (2, 1, 0),
            "scaling_factor": 0.5,
            "shift_factor": 0.25,
        },
    ),
}
"""Theirs, ours, and the options of theirs."""


@dataclass
class Twins:
    """An autoencoder of diffusers, and ours with its weights."""

    theirs: nn.Module
    ours: nn.Module
    inferred: Inferred
    bridge: Bridge
    foreign: Foreign
    images_BCHW: Tensor

    @property
    def part(self) -> Any:
        """Our component."""
        return self.inferred.part


def bridge_of(component: type[Space], foreign: Foreign) -> tuple[Bridge, Inferred]:
    """The one bridge that knows these weights."""
    ((bridge, inferred),) = [
        (bridge, found) for bridge in component.bridges() if (found := bridge.infer(foreign)) is not None
    ]
    return bridge, inferred


@pytest.fixture(name="bridge_of")
def _bridge_of() -> Callable[..., tuple[Bridge, Inferred]]:
    return bridge_of


def scattered(module: nn.Module) -> nn.Module:
    """The module with every weight disturbed, so that no branch is silent; its outputs stay of the order of 1."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in module.parameters():
            fan_in = max(weight[0].numel(), 1) if weight.dim() > 1 else 25
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.add_((0.5 * noise / fan_in**0.5).to(weight))
    return module.eval()


@pytest.fixture(name="scattered", scope="session")
def _scattered() -> Callable[[nn.Module], nn.Module]:
    return scattered


@pytest.fixture
def make_twins() -> Callable[..., Twins]:
    """Twins of the shape that a word names."""

    def make(word: str, dtype: torch.dtype = torch.float64) -> Twins:
        their_class, component, options = OPTIONS[word]
        torch.manual_seed(0)
        theirs = scattered(their_class(**options)).to(dtype)
        config: Mapping[str, Any] = {"_class_name": their_class.__name__, **theirs.config}
        foreign = Foreign(MemoryTensors(theirs.state_dict()), config)
        bridge, inferred = bridge_of(component, foreign)
        ours = inferred.build().eval()
        fill(ours, foreign.tensors, bridge)
        channels = options.get("in_channels", 3)
        images = torch.randn(2, channels, 32, 24, dtype=dtype).tanh()
        return Twins(theirs, ours, inferred, bridge, foreign, images)

    return make


@dataclass
class Held:
    """Bytes of the tensors that a computation held at once, counted at every operation."""

    now: int = 0
    peak: int = 0
    owners: Counter[int] = field(default_factory=Counter)


class Counting(TorchDispatchMode):
    """Counts every tensor that an operation makes until it is let go; views share their storage."""

    def __init__(self) -> None:
        super().__init__()
        self.held = Held()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        out = func(*args, **(kwargs or {}))
        for made in tree_leaves(out):
            if isinstance(made, Tensor):
                storage = made.untyped_storage()
                self._add(made, storage.data_ptr(), storage.nbytes(), storage.data_ptr() in given)
        return out

    def _add(self, made: Tensor, address: int, size: int, is_view: bool) -> None:
        held = self.held
        if is_view and not held.owners[address]:
            return  # of a tensor from outside, such as a weight
        held.now += 0 if held.owners[address] else size
        held.owners[address] += 1
        held.peak = max(held.peak, held.now)
        weakref.finalize(made, self._drop, address, size)

    def _drop(self, address: int, size: int) -> None:
        self.held.owners[address] -= 1
        self.held.now -= 0 if self.held.owners[address] else size


@pytest.fixture
def peak_bytes() -> Callable[[Callable[[], Any]], int]:
    """The bytes that a computation holds at once, beside its inputs and weights."""

    def measure(compute: Callable[[], Any]) -> int:
        with torch.no_grad(), Counting() as counting:
            compute()
        return counting.held.peak

    return measure
