"""transformers' CLIP text models of small shapes, and ours with their weights."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.bridge import Bridge, Foreign, Inferred, MemoryTensors, fill
from diffloom_clip import ClipEncoder, ClipText, ClipTower
from diffloom_clip.library import open_clip
from diffloom_clip.transformers_bridge import TransformersText

Theirs = tuple[nn.Module, Callable[[], Tensor], dict[str, Any] | None]
"""A model, what it makes of the ids, and its configuration."""
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


@pytest.fixture(scope="session")
def library() -> ModuleType:
    """open_clip; imported first, since transformers too stumbles over a torchvision without its operators."""
    return open_clip()


@pytest.fixture(scope="session")
def tokenizer_folder(library: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """transformers' two vocabulary files, written from open_clip's one."""
    text = gzip.decompress(Path(library.tokenizer.default_bpe()).read_bytes()).decode("utf-8")
    merges = text.split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = list(library.tokenizer.bytes_to_unicode().values())
    words = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(m.replace(" ", "") for m in merges),
        *SPECIAL,
    ]
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    return folder


@pytest.fixture(scope="session")
def make_tokenizer(library: ModuleType, tokenizer_folder: Path) -> Callable[..., Any]:
    """transformers' tokenizer of CLIP, with whatever it pads with."""
    from transformers import CLIPTokenizerFast

    def make(**options: Any) -> Any:
        return CLIPTokenizerFast.from_pretrained(tokenizer_folder, **options)

    return make


@dataclass(frozen=True)
class Pair:
    """Their text model and our tower with its weights."""

    theirs: nn.Module
    ours: ClipTower

    def hidden(self, ids_NL: Tensor) -> tuple[Tensor, ...]:
        """Their tokens: before the first block, behind each, and normalised behind the last."""
        with torch.no_grad():
            out = self.theirs(ids_NL, output_hidden_states=True)
        return (*out.hidden_states, out.last_hidden_state)

    def pooled(self, ids_NL: Tensor) -> Tensor:
        """Their pooled vector, projected."""
        with torch.no_grad():
            embeds: Tensor = self.theirs(ids_NL).text_embeds
        return embeds


@pytest.fixture(scope="session")
def their_model(library: ModuleType) -> Callable[..., nn.Module]:
    """transformers' model by its options, with weights that show every mistake."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    def make(*, projected: bool, seed: int = 0, **options: Any) -> nn.Module:
        small = {
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "projection_dim": 24,
        }
        torch.manual_seed(seed)
        with warnings.catch_warnings(action="ignore"):
            config = CLIPTextConfig(**{**small, **options})
            model = (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)  # none stays at 0 or 1
        return model

    return make


@pytest.fixture(scope="session")
def make_pair(their_model: Callable[..., nn.Module]) -> Callable[..., Pair]:
    """Their model and our tower, read as the fields say."""

    def make(reads: dict[str, Any], **options: Any) -> Pair:
        theirs = their_model(projected=reads.get("pooled", False), **options)
        bridge = TransformersText()
        tensors = MemoryTensors(prefixed(theirs.state_dict()))
        inferred = bridge.infer(Foreign(tensors, theirs.config.to_dict()))
        assert inferred is not None
        encoder = ClipEncoder.model_validate({**dict(inferred.part), **reads})
        ours = encoder.build()
        fill(ours, tensors, bridge)
        return Pair(theirs, ours.eval())

    return make


def prefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their names as transformers 4 wrote them: version 5 leaves the prefix of a CLIPTextModel away."""
    return {
        name if name.startswith("text_") else f"text_model.{name}": tensor for name, tensor in state.items()
    }


PICTURE = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 32}
TEXT = {"width": 64, "heads": 1, "layers": 3}


@pytest.fixture(scope="session")
def rows() -> Tensor:
    """A short row of token ids, and a full one."""
    return torch.tensor([[49406, 736, 2368, 49407, *[0] * 73], [49406, *range(300, 375), 49407]])


@pytest.fixture(scope="session")
def make_theirs(
    library: ModuleType, their_model: Callable[..., nn.Module], rows: Tensor
) -> Callable[[str], Theirs]:
    """A model of theirs by what it is, what it makes of the ids, and its configuration."""
    from transformers import CLIPConfig, CLIPModel

    def clip(sort: str) -> Theirs:
        torch.manual_seed(1)
        fields = {"embed_dim": 24, "vision_cfg": PICTURE, "text_cfg": TEXT, "quick_gelu": True}
        if sort == "open_clip":
            one = library.CLIP(**fields).eval()
            return one, lambda: one.encode_text(rows), None
        if sort == "open_clip, custom text":
            two = library.CustomTextCLIP(**fields).eval()
            return two, lambda: two.encode_text(rows), None
        if sort == "transformers, whole":
            sizes = {
                "hidden_size": 32,
                "intermediate_size": 128,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
            }
            three = CLIPModel(CLIPConfig(text_config=sizes, vision_config=sizes, projection_dim=24)).eval()
            return three, lambda: three.get_text_features(rows).pooler_output, three.config.to_dict()
        projected = sort == "transformers, projected"
        four = their_model(projected=projected, hidden_act="gelu")
        read = (lambda: four(rows).text_embeds) if projected else (lambda: four(rows).last_hidden_state)
        return four, read, four.config.to_dict()

    return clip


@pytest.fixture(scope="session")
def recognised() -> Callable[[Foreign], tuple[Bridge, Inferred]]:
    """The one bridge that knows these weights, and what it makes of them."""

    def one(foreign: Foreign) -> tuple[Bridge, Inferred]:
        bridges = list(ClipText.bridges())
        found = [(bridge, inferred) for bridge in bridges if (inferred := bridge.infer(foreign)) is not None]
        ((bridge, inferred),) = found
        return bridge, inferred

    return one
