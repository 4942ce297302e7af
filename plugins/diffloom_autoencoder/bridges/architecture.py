"""What a levelled autoencoder is, by the names and shapes of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffloom.bridge import AmbiguousError, Foreign, Tensors
from diffloom.errors import CheckpointError
from diffloom_autoencoder.bridges.naming import CODEBOOK, Naming
from diffloom_autoencoder.bridges.walk import Place

NORM_GROUPS = 32
"""Of every published autoencoder; weights do not tell."""
OFFERED = (1, 2, 4, 8, 16, 32)
"""Groups that are offered where it cannot be 32."""
SCALES = {"0.18215": "Stable Diffusion", "0.13025": "its XL"}
"""What latents are multiplied by there."""


def is_named(naming: Naming, tensors: Tensors) -> bool:
    """Whether both sides have these names."""
    encoder, decoder = (f"{naming.part(Place(side, 'block'))}." for side in ("encoder", "decoder"))
    names = list(tensors)
    return any(n.startswith(encoder) for n in names) and any(n.startswith(decoder) for n in names)


def is_variational(naming: Naming, tensors: Tensors) -> bool:
    """Whether the encoder gives twice the decoder's channels: means and log-variances."""
    given = _shape(tensors, f"{naming.part(Place('encoder', 'head'))}.weight")[0]
    return given == 2 * _shape(tensors, f"{naming.part(Place('decoder', 'enter'))}.weight")[1]


def read_architecture(
    naming: Naming, foreign: Foreign, *, variational: bool
) -> tuple[dict[str, Any], int, tuple[str, ...]]:
    """The component's fields, the pictures' channels, and what was concluded.

    Raises CheckpointError where a tensor that would tell is missing, and AmbiguousError for group normalisations
    that cannot have the usual number of groups.
    """
    tensors = foreign.tensors
    present = _Present(naming, tensors)
    channels = tuple(present.width(level) for level in range(present.levels))
    blocks = present.count("block", level=0)
    attends = tuple(level for level in range(present.levels) if present.count("attention", level=level))
    latent_channels = _shape(tensors, f"{naming.part(Place('decoder', 'enter'))}.weight")[1]
    has_quant = f"{naming.part(Place('encoder', 'quant'))}.weight" in tensors
    scale = foreign.assume.get("scale")
    fields: dict[str, Any] = {
        "channels": channels,
        "blocks_per_level": blocks,
        "attention_levels": attends,
        "latent_channels": latent_channels,
        "norm_groups": _groups(foreign, channels),
        "scale": 1.0 if scale is None else _number(foreign, scale),
    }
    if variational:
        fields["quant_convs"] = has_quant
    else:
        fields["codebook"] = _shape(tensors, CODEBOOK)[0]
    told = [
        f"by names and shapes: channels {', '.join(map(str, channels))}, {blocks} blocks per level, attention at "
        f"levels {', '.join(map(str, attends)) or 'none'} and in the middle, {latent_channels} latent channels",
        f"norm_groups {fields['norm_groups']}, which no weight tells",
    ]
    if scale is None:
        known = " or ".join(f"--assume scale={number} ({whose})" for number, whose in SCALES.items())
        told.append(
            f"latents are left as the autoencoder gives them; where they have a published scale, say {known}"
        )
    return fields, _shape(tensors, f"{naming.part(Place('encoder', 'enter'))}.weight")[1], tuple(told)


class _Present:
    """Which parts of the encoder there are: those of which any tensor is there, lest one missing name hide a level."""

    def __init__(self, naming: Naming, tensors: Tensors) -> None:
        self.naming = naming
        self.tensors = tensors
        self.names = list(tensors)
        self.levels = 0
        while self.count("block", level=self.levels):
            self.levels += 1

    def count(self, role: Any, *, level: int) -> int:
        """Parts of a role in a level."""
        found = 0
        while any(name.startswith(f"{self._part(role, level, found)}.") for name in self.names):
            found += 1
        return found

    def width(self, level: int) -> int:
        """Channels of a level."""
        layers = [f"{self._part('block', level, 0)}.{layer}.weight" for layer in ("conv1", "conv2", "norm2")]
        return _shape(self.tensors, next((layer for layer in layers if layer in self.tensors), layers[0]))[0]

    def _part(self, role: Any, level: int, index: int) -> str:
        return self.naming.part(Place("encoder", role, level, level, index))


def _groups(foreign: Foreign, channels: tuple[int, ...]) -> int:
    """32 where that divides all widths; else the user's answer."""
    said = foreign.assume.get("norm_groups")
    if said is not None:
        if not said.isdecimal() or not int(said):
            raise CheckpointError(
                f"{foreign.tensors.place}: --assume norm_groups={said}: it is a number from 1 on"
            )
        return int(said)
    if all(width % NORM_GROUPS == 0 for width in channels):
        return NORM_GROUPS
    fitting = [count for count in OFFERED if all(width % count == 0 for width in channels)]
    choices: Mapping[str, str] = {
        f"norm_groups={count}": f"groups of {', '.join(str(width // count) for width in channels)} channels"
        for count in fitting
    }
    question = "nothing says how many groups its normalisations have"
    raise AmbiguousError(foreign.tensors.place, question, choices)


def _number(foreign: Foreign, said: str) -> float:
    try:
        return float(said)
    except ValueError:
        raise CheckpointError(
            f"{foreign.tensors.place}: --assume scale={said}: it is a number above 0"
        ) from None


def _shape(tensors: Tensors, name: str) -> tuple[int, ...]:
    if name not in tensors:
        raise CheckpointError(f"{tensors.place}: is an autoencoder without {name}; nothing was loaded")
    return tensors.shape(name)
