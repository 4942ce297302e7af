"""A text tower's architecture, as far as the shapes of its weights show it, and what must be asked beside."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from diffloom.bridge import AmbiguousError, Foreign
from diffloom.errors import CheckpointError
from diffloom_clip.architecture import TextArchitecture, named
from diffloom_clip.clip_encoder import ClipEncoder
from diffloom_clip.library import model_files

HEAD_WIDTH = 64
"""Of every CLIP that was published."""
STABLE_DIFFUSION = {(768, 12): True, (1024, 24): False, (1024, 23): False, (1280, 32): False}
"""Whether the text towers that were published alone, (width, blocks), are quick-GELU: OpenAI's ViT-L/14; OpenCLIP's
ViT-H/14, the same without its last block, and ViT-bigG/14."""
SHOWN = ("ViT-L-14", "ViT-H-14", "ViT-bigG-14", "ViT-B-32")
"""Names by which a tower is told where several of open_clip's have the same."""


@dataclass(frozen=True)
class Shapes:
    """What shapes show."""

    width: int
    layers: int
    hidden: int
    context_length: int
    vocab_size: int
    embed_dim: int | None

    def is_of(self, published: TextArchitecture) -> bool:
        """Whether they are those of an architecture, or of it without its last block or projection."""
        return (
            (self.width, self.context_length, self.vocab_size)
            == (published.width, published.context_length, published.vocab_size)
            and self.hidden == int(published.width * published.mlp_ratio)
            and self.layers in (published.layers, published.layers - 1)
            and self.embed_dim in (None, published.embed_dim)
        )


def encoder_of(architecture: TextArchitecture, *, pooled: bool, pad: str) -> ClipEncoder:
    """The encoder of a tower, by the name of its architecture where open_clip has one for it."""
    for name, published in _published():
        whole = {"layers": published.layers, "embed_dim": published.embed_dim}
        if _shapes(architecture).is_of(published) and architecture.model_copy(update=whole) == published:
            depth = None if architecture.layers == published.layers else architecture.layers
            fields = {"architecture": name, "depth": depth}
            return ClipEncoder.model_validate({**fields, "pooled": pooled, "pad": pad})
    return ClipEncoder.model_validate({"architecture": architecture, "pooled": pooled, "pad": pad})


def architecture_of(shapes: Shapes, *, place: str, **fields: object) -> TextArchitecture:
    """The architecture of these shapes. Raises CheckpointError where it is none that reads CLIP's tokens."""
    shown = {
        "width": shapes.width,
        "layers": shapes.layers,
        "mlp_ratio": shapes.hidden / shapes.width,
        "context_length": shapes.context_length,
        "vocab_size": shapes.vocab_size,
        "embed_dim": shapes.embed_dim,
    }
    try:
        return TextArchitecture.model_validate({**shown, **fields})
    except ValidationError as error:
        told = "; ".join(item["msg"] for item in error.errors())
        raise CheckpointError(f"{place}: no text tower that clip_text builds: {told}") from error


def heads(shapes: Shapes, foreign: Foreign) -> tuple[int, str]:
    """How many heads, and by what that is known."""
    answer = foreign.assume.get("heads")
    if answer is not None:
        if not answer.isdecimal() or not int(answer) or shapes.width % int(answer):
            raise CheckpointError(
                f"{foreign.tensors.place}: heads={answer} does not divide the width {shapes.width}"
            )
        return int(answer), "as assumed"
    if shapes.width % HEAD_WIDTH:
        choices = {f"heads={n}": f"heads of {shapes.width // n}" for n in (2, 4, 8) if shapes.width % n == 0}
        raise AmbiguousError(
            foreign.tensors.place, f"a width of {shapes.width} does not tell its heads", choices
        )
    return shapes.width // HEAD_WIDTH, f"{HEAD_WIDTH} wide each, as in every published CLIP"


def quick_gelu(shapes: Shapes, foreign: Foreign, *, alone: bool) -> tuple[bool, str]:
    """Whether its activation is quick-GELU, and by what that is known. `alone`: it came without a picture half."""
    meant = {"quick_gelu": True, "gelu": False}
    answer = foreign.assume.get("activation")
    if answer is not None:
        if answer not in meant:
            raise CheckpointError(
                f"{foreign.tensors.place}: activation={answer} is neither quick_gelu nor gelu"
            )
        return meant[answer], "as assumed"
    family = STABLE_DIFFUSION.get((shapes.width, shapes.layers))
    if alone and family is not None:
        return family, "as in Stable Diffusion's tower of this shape"
    raise AmbiguousError(
        foreign.tensors.place,
        f"a CLIP of {shapes.layers} blocks of width {shapes.width} may have either activation",
        {
            "activation=quick_gelu": "x·sigmoid(1.702·x), as OpenAI's own",
            "activation=gelu": "GELU, as most of OpenCLIP's",
        },
    )


def is_causal(shapes: Shapes, foreign: Foreign) -> tuple[bool, str]:
    """Whether tokens attend backwards only, for towers among which open_clip has both sorts."""
    sorts = {not published.no_causal_mask for _, published in _published() if shapes.is_of(published)}
    if sorts != {True, False}:
        return sorts != {False}, "as all of open_clip's of these shapes"
    answer = foreign.assume.get("attention")
    if answer not in ("causal", "full"):
        raise AmbiguousError(
            foreign.tensors.place,
            "open_clip has towers of these shapes of two sorts",
            {
                "attention=causal": "tokens attend to those before them (EVA, CoCa, …)",
                "attention=full": "tokens attend to all (MobileCLIP-S)",
            },
        )
    return answer == "causal", "as assumed"


def _shapes(architecture: TextArchitecture) -> Shapes:
    return Shapes(
        width=architecture.width,
        layers=architecture.layers,
        hidden=int(architecture.width * architecture.mlp_ratio),
        context_length=architecture.context_length,
        vocab_size=architecture.vocab_size,
        embed_dim=architecture.embed_dim,
    )


@functools.cache
def _published() -> tuple[tuple[str, TextArchitecture], ...]:
    """Every architecture of open_clip's that is built here, the best-known names first."""

    def rank(name: str) -> tuple[int, str]:
        plain = name.removesuffix("-quickgelu")
        return (SHOWN.index(plain) if plain in SHOWN else len(SHOWN), name)

    return tuple(_built(sorted(model_files(), key=rank)))


def _built(names: list[str]) -> Iterator[tuple[str, TextArchitecture]]:
    for name in names:
        try:
            yield name, named(name)
        except ValueError:  # a tower of another library
            continue
