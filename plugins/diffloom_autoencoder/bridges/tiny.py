"""The weights of tiny autoencoders, in diffusers' form and their author's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from torch import nn

from diffloom.bridge import Entry, Foreign, Inferred
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo
from diffloom_autoencoder.bridges.levelled import made
from diffloom_autoencoder.bridges.options import picture, refuse, require_one_scale
from diffloom_autoencoder.bridges.tiny_names import DIFFUSERS, TAESD, Row
from diffloom_autoencoder.tiny import TinyAutoencoder

KIND = "AutoencoderTiny"
DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "encoder_block_out_channels": [64, 64, 64, 64],
    "decoder_block_out_channels": [64, 64, 64, 64],
    "act_fn": "relu",
    "upsample_fn": "nearest",
    "latent_channels": 4,
    "upsampling_scaling_factor": 2,
    "num_encoder_blocks": [1, 3, 3, 3],
    "num_decoder_blocks": [3, 3, 3, 1],
    "scaling_factor": 1.0,
    "shift_factor": 0.0,
}
"""Their options, and what is meant where a configuration says nothing."""
MEANINGLESS = ("latent_magnitude", "latent_shift", "force_upcast", "block_out_channels", "sample_size")
"""The first two serve latents kept in bytes; the rest, precision, what is said elsewhere, and the size of pictures."""


class DiffusersTiny:
    """`AutoencoderTiny`."""

    format: ClassVar[str] = "diffusers"
    row: ClassVar[Row] = DIFFUSERS

    def infer(self, foreign: Foreign) -> Inferred | None:
        if not self.row.is_used(foreign.tensors):
            return None
        if foreign.config is None:
            fields, channels = self.row.read(foreign.tensors)
            told = (f"by names and shapes: {', '.join(f'{k} {v}' for k, v in fields.items())}",)
        elif foreign.config.get("_class_name") == KIND:
            fields, channels = _fields(foreign), foreign.config.get("in_channels", DEFAULTS["in_channels"])
            told = ("by its configuration",)
        else:
            return None
        image, unsaid = picture(None, channels=channels)
        return Inferred(made(TinyAutoencoder, foreign, fields), {"image": image}, (*told, *unsaid))

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        return self.row.entries(module)

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return ()

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        part, image = inferred.part, inferred.shapes["image"]
        require_one_scale(KIND, part)
        if part.pooled_middle:
            raise CheckpointError(f"{KIND} cannot express pooled_middle; export it as taesd")
        return {"_class_name": KIND, **_options(part, image)}


class Taesd(DiffusersTiny):
    """Files of github.com/madebyollin/taesd, the encoder's and the decoder's together."""

    format = "taesd"
    row = TAESD

    def infer(self, foreign: Foreign) -> Inferred | None:
        found = super().infer(foreign) if foreign.config is None else None
        if found is None and any(re.match(r"\d+\.conv\.\d\.weight$", name) for name in foreign.tensors):
            raise CheckpointError(
                f"{foreign.tensors.place}: is one side of a tiny autoencoder; put the other's file beside it, named "
                "alike but for `encoder` and `decoder`"
            )
        return found

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        return None


def _fields(foreign: Foreign) -> dict[str, Any]:
    """By the configuration. Raises CheckpointError, listing what is not ours."""
    assert foreign.config is not None
    given = {key: value for key, value in foreign.config.items() if key[0] != "_" and key not in MEANINGLESS}
    options = {**DEFAULTS, **given}
    widths = list(options["encoder_block_out_channels"])
    fields = {
        "channels": widths[0],
        "blocks": tuple(options["num_encoder_blocks"]),
        "latent_channels": options["latent_channels"],
        "scale": options["scaling_factor"],
        "shift": options["shift_factor"],
    }
    image = ImageInfo(height=1, width=1, channels=options["in_channels"])
    ours = _options(made(TinyAutoencoder, foreign, fields), image)
    refuse(
        KIND, foreign, [f"{k} {v!r}" for k, v in options.items() if k not in ours or _listed(v) != ours[k]]
    )
    return fields


def _options(part: TinyAutoencoder, image: ImageInfo) -> dict[str, Any]:
    """Their options for a component."""
    widths = [part.channels] * len(part.blocks)
    return {
        **DEFAULTS,
        "in_channels": image.channels,
        "out_channels": image.channels,
        "encoder_block_out_channels": widths,
        "decoder_block_out_channels": widths,
        "latent_channels": part.latent_channels,
        "num_encoder_blocks": list(part.blocks),
        "num_decoder_blocks": list(reversed(part.blocks)),
        "scaling_factor": part.scale,
        "shift_factor": part.shift,
    }


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
