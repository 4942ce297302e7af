"""What a CLIP text tower is made of."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, ValidationError, model_validator

from diffloom.kinds import Section
from diffloom_clip.library import model_file, model_files

if TYPE_CHECKING:
    from typing import Self

CLIP_VOCABULARY = 49408
"""Tokens of CLIP's byte-pair encoding, its start and end included."""


class HubTokenizer(Section):
    """A tokenizer of the transformers library, where a tower was not trained with CLIP's own."""

    name: str
    """Its folder, or its name on the Hugging Face hub."""
    clean: Literal["lower", "whitespace", "canonicalize"] = "whitespace"
    """What is done to a text before: white space made one, lower case, punctuation taken away."""
    strip_sep_token: bool = False
    """Whether the separator that it ends with is replaced by token 0."""


class TextArchitecture(Section):
    """A text tower, in the words and with the defaults of open_clip's model files."""

    width: PositiveInt = 512
    """Of a token, between blocks."""
    heads: PositiveInt = 8
    """Of the attention of a block."""
    layers: PositiveInt = 12
    """How many blocks."""
    embed_dim: PositiveInt | None = None
    """Width of the pooled vector behind its projection; null has no projection."""
    quick_gelu: bool = False
    """x·sigmoid(1.702·x) in place of GELU: OpenAI's own weights, and few others."""
    context_length: PositiveInt = 77
    """Tokens of a chunk, start and end included."""
    vocab_size: PositiveInt = CLIP_VOCABULARY
    """Tokens it knows."""
    mlp_ratio: PositiveFloat = 4.0
    """Width of a block's hidden layer, in widths of a token."""
    gelu_tanh: bool = False
    """GELU by its tanh approximation."""
    norm_eps: PositiveFloat = 1e-5
    """Added to the variances that the normalisations divide by."""
    ls_init_value: PositiveFloat | None = None
    """Where the learned scales of a block's two results begin; null has none."""
    no_causal_mask: bool = False
    """Whether a token attends to those behind it, too."""
    embed_cls: bool = False
    """Whether a learned token behind all others is what is pooled."""
    pad_id: NonNegativeInt = 0
    """The token that fills up, where it is hidden from that learned one."""
    pool_type: Literal["first", "last", "argmax", "eos"] = "argmax"
    """The position that is pooled; `argmax` is the end token, the highest of all."""
    eos_id: NonNegativeInt = 2
    """The end token, for `pool_type: eos`."""
    proj_bias: bool = False
    """Whether the projection has a bias."""
    tokenizer: HubTokenizer | None = None
    """Null is CLIP's own."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be split into {self.heads} heads")
        if self.quick_gelu and self.gelu_tanh:
            raise ValueError("quick_gelu and gelu_tanh are two activations; give one")
        if self.tokenizer is None and self.vocab_size < CLIP_VOCABULARY:
            raise ValueError(f"CLIP's tokens need a vocab_size of {CLIP_VOCABULARY}, not {self.vocab_size}")
        return self

    @property
    def pooled_width(self) -> int:
        """Of the pooled vector."""
        return self.embed_dim or self.width

    @property
    def text_cfg(self) -> dict[str, Any]:
        """Its `text_cfg`, as open_clip builds from it."""
        others = {"embed_dim", "quick_gelu", "gelu_tanh", "norm_eps", "tokenizer"}
        return {
            **self.model_dump(exclude=others),
            "norm_kwargs": {"eps": self.norm_eps},
            "act_kwargs": {"approximate": "tanh"} if self.gelu_tanh else None,
        }


@functools.cache
def named(name: str) -> TextArchitecture:
    """An architecture of open_clip. Raises ValueError when it has none of this name, or no tower of its own."""
    files = model_files()
    if name not in files:
        close = difflib.get_close_matches(name, files, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"open_clip has no architecture {name!r}{hint}")
    return _translated(model_file(files[name]), name)


def from_file(path: str) -> TextArchitecture:
    """The architecture of an open_clip model file. Raises ValueError when it is none, or no tower of open_clip's."""
    return _translated(model_file(Path(path)), path)


def _translated(model: Mapping[str, Any], place: str) -> TextArchitecture:
    """open_clip's `embed_dim`, `quick_gelu` and `text_cfg` as one flat section."""
    text = dict(model["text_cfg"])
    if "hf_model_name" in text:
        raise ValueError(
            f"{place}: its text tower is {text['hf_model_name']} of the transformers library, and clip_text reads "
            "open_clip's own; take another architecture"
        )
    projected = text.pop("proj_type", "linear") != "none"
    norm, act = text.pop("norm_kwargs", None) or {}, text.pop("act_kwargs", None) or {}
    text.pop("output_tokens", None)  # what its forward() returns, which we do not ask
    tokenizer = {
        "name": text.pop("hf_tokenizer_name", None),
        **(text.pop("tokenizer_kwargs", None) or {}),
    }
    fields = {
        **text,
        "embed_dim": model.get("embed_dim") if projected else None,
        "quick_gelu": model.get("quick_gelu", False),
        "norm_eps": norm.pop("eps", 1e-5),
        "gelu_tanh": act.pop("approximate", "none") == "tanh",
        "tokenizer": tokenizer if tokenizer["name"] else None,
        **norm,
        **act,
    }
    try:
        return TextArchitecture.model_validate(fields)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError(f"{place}: not a text tower that clip_text builds: {told}") from error
