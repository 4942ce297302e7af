"""Prompts to tokens: CLIP's text tower of Stable Diffusion 1.x, of 123 million parameters."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import cast

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.peers import stirred
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from diffloom.bridge import Foreign, MemoryTensors, fill
from diffloom_clip.component import ClipText
from diffloom_clip.encoder import ClipTextEncoder
from diffloom_clip.tower import ClipTower

VIT_L: dict[str, int] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
PROMPTS = 8


def cases(device: torch.device) -> Iterator[Case]:
    """Eight prompts that nobody has asked for yet, then eight times the same with its null condition."""
    peer = cast(CLIPTextModel, stirred(CLIPTextModel(CLIPTextConfig(**VIT_L))).to(device))
    own = _own(peer, device)
    numbers = count()
    ids_NL = torch.randint(1000, 40_000, (2 * PROMPTS, 77), generator=torch.Generator().manual_seed(1))
    ids_NL[:, 0], ids_NL[:, -1] = 49406, 49407
    ids_NL = ids_NL.to(device)

    @torch.inference_mode()
    def theirs(rows_NL: Tensor) -> Tensor:
        return cast(Tensor, peer(rows_NL).last_hidden_state)

    @torch.inference_mode()
    def towers(rows_NL: Tensor) -> Tensor:
        """As prompts are read: so that a prompt's numbers are its own in any batch."""
        (tower,) = own.towers
        return cast(Tensor, cast(ClipTower, tower).rows(rows_NL).tokens_NLD)

    def asked(prompts: list[str]) -> None:
        own.encode(prompts)
        own.null(PROMPTS)

    title, rows_NL = "CLIP ViT-L text tower", ids_NL[:PROMPTS]
    eager = Arm("transformers fp32", lambda: theirs(rows_NL))
    yield Case(
        f"{title}, 8 prompts",
        eager,
        [Arm("diffloom fp32", lambda: towers(rows_NL), [Goal("text encoder", "speed", 1)])],
        counts=True,
        rounds=5,
    )
    both = Arm(
        "transformers fp32", lambda: [theirs(ids_NL), None][1]
    )  # as diffusers' pipelines encode both halves
    yield Case(
        f"{title}, one new prompt for 8 pictures, and the null condition",
        both,
        [Arm("diffloom fp32", lambda: asked([f"a picture of number {next(numbers)}"] * PROMPTS))],
        rounds=5,
    )


def _own(peer: CLIPTextModel, device: torch.device) -> ClipTextEncoder:
    """Our encoder with the peer's weights."""
    tensors = MemoryTensors(dict(peer.state_dict()))
    foreign = Foreign(tensors, peer.config.to_dict())
    ((bridge, inferred),) = [
        (bridge, found) for bridge in ClipText.bridges() if (found := bridge.infer(foreign)) is not None
    ]
    tower = inferred.build()
    fill(tower, tensors, bridge)
    return ClipTextEncoder(towers=[tower]).to(device).eval()
