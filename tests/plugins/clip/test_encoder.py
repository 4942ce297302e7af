"""Prompts as conditions: chunks, nulls, what is frozen, and how often a tower is asked.

Oracles: counted calls, and towers run by hand.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom_clip import ClipEncoder, ClipTextEncoder, ClipTower

SMALL = {"width": 16, "heads": 2, "layers": 2, "embed_dim": 12, "context_length": 9, "quick_gelu": True}


def tower(**fields: Any) -> ClipTower:
    return ClipEncoder.model_validate({"architecture": SMALL, **fields}).build()


class Counted:
    """How many rows went through a tower, call by call."""

    def __init__(self, of: ClipTower) -> None:
        self.rows: list[int] = []
        of.register_forward_pre_hook(lambda module, args: self.rows.append(len(args[0])))

    @property
    def all(self) -> int:
        return sum(self.rows)


@pytest.fixture
def encoder() -> ClipTextEncoder:
    torch.manual_seed(0)
    return ClipTextEncoder(towers=[tower(pooled=True)], remembered=4)


@pytest.fixture
def counted(encoder: ClipTextEncoder) -> Counted:
    return Counted(encoder.towers[0])


def tokens(condition: Condition) -> Tensor:
    assert condition.tokens_BLD is not None
    return condition.tokens_BLD


def test_a_prompt_is_encoded_once(encoder: ClipTextEncoder, counted: Counted) -> None:
    first = encoder.encode(["red", "blue", "red", "red"])
    assert counted.all == 2
    again = encoder.encode(["blue", "red", "green"])
    assert counted.all == 3
    assert torch.equal(tokens(first)[[1, 0]], tokens(again)[:2])
    encoder.null(3)
    encoder.null(5)
    assert counted.all == 4


def test_the_prompts_asked_for_last_are_kept(encoder: ClipTextEncoder, counted: Counted) -> None:
    encoder.encode(["a", "b", "c", "d"])
    encoder.encode(["a"])
    encoder.encode(["e"])  # now b was asked for longest ago
    assert counted.all == 5
    encoder.encode(["a", "c", "d", "e"])
    assert counted.all == 5
    encoder.encode(["b"])
    assert counted.all == 6


def test_more_prompts_than_are_kept_serve_one_batch(encoder: ClipTextEncoder) -> None:
    none = ClipTextEncoder(towers=list(encoder.towers), remembered=0)
    prompts = [f"{number}" for number in range(7)]
    assert torch.equal(tokens(encoder.encode(prompts)), tokens(none.encode(prompts)))


def _load(encoder: ClipTextEncoder, *, assign: bool) -> None:
    other = copy.deepcopy(encoder.state_dict())
    encoder.load_state_dict({name: value + 0.1 for name, value in other.items()}, assign=assign)


CHANGES = {
    "written to": lambda encoder: next(encoder.parameters()).add_(0.1),
    "the last one": lambda encoder: list(encoder.parameters())[-1].add_(0.5),
    "loaded": lambda encoder: _load(encoder, assign=False),
    "assigned": lambda encoder: _load(encoder, assign=True),
    "a tower loaded": lambda encoder: encoder.towers[0].load_state_dict(tower(pooled=True).state_dict()),
    "made precise": lambda encoder: encoder.double(),
    "rounded and back": lambda encoder: encoder.half().float(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_nothing_is_kept_of_other_weights(encoder: ClipTextEncoder, counted: Counted, change: Any) -> None:
    before = tokens(encoder.encode(["red"]))
    with torch.no_grad():
        change(encoder)
    after = tokens(encoder.encode(["red"]))
    assert counted.rows == [1, 1]
    assert not torch.equal(before, after)
    fresh = ClipTextEncoder(towers=list(encoder.towers), remembered=0)
    assert torch.equal(tokens(fresh.encode(["red"])), after)


def test_a_copy_keeps_nothing_of_the_original(encoder: ClipTextEncoder) -> None:
    encoder.encode(["red"])
    twin = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.1)
    assert not torch.equal(tokens(twin.encode(["red"])), tokens(encoder.encode(["red"])))


def test_an_encoding_is_its_own_to_the_last_bit(encoder: ClipTextEncoder) -> None:
    """Whatever stood beside it in the batch, and in another order: a resumed run forgot what was kept."""
    twin = copy.deepcopy(encoder)
    one = encoder.encode(["red heart", "a b c d e f", "blue"])
    other = twin.encode(["blue", "something else", "red heart"])
    assert torch.equal(tokens(one)[[0, 2]], tokens(other)[[2, 0]])


def test_what_is_kept_serves_outside_its_callers_modes(encoder: ClipTextEncoder) -> None:
    """Encoded under inference mode and mixed precision, read by training in single precision."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        first = tokens(encoder.encode(["red"]))
    again = tokens(encoder.encode(["red"]))
    fresh = ClipTextEncoder(towers=list(encoder.towers), remembered=0)
    assert again.dtype == torch.float32
    assert torch.equal(first, again)
    assert torch.equal(again, tokens(fresh.encode(["red"])))
    (again * torch.ones(16, requires_grad=True)).sum().backward()  # refused of inference tensors


def test_frozen_towers_stay_as_they_are(encoder: ClipTextEncoder) -> None:
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in encoder.train().modules())
    assert not tokens(encoder.encode(["red"])).requires_grad
    assert set(encoder.state_dict()) == {name for name, _ in encoder.named_parameters()}


def test_trained_towers_learn_and_keep_nothing() -> None:
    encoder = ClipTextEncoder(towers=[tower()], trained=True)
    counted = Counted(encoder.towers[0])
    assert all(module.training for module in encoder.modules())
    tokens(encoder.encode(["red", "blue", "red"])).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    encoder.encode(["red", "blue", "red"])
    assert counted.rows == [3, 3]
    assert tokens(encoder.null(2)).requires_grad


def test_chunks_stand_one_behind_another_and_the_first_is_pooled() -> None:
    """Oracle: each chunk's words as a prompt of their own; nine positions hold seven tokens."""
    one = tower(pooled=True)
    encoder, single = ClipTextEncoder(towers=[one], chunks=3), ClipTextEncoder(towers=[one])
    condition = encoder.encode(["a b c d e f g h i j", "red"])
    parts = single.encode(["a b c d e f g", "h i j", "", "red"])
    wanted = torch.cat(
        [tokens(parts)[:3].flatten(0, 1), tokens(parts)[3], tokens(parts)[2], tokens(parts)[2]]
    )
    torch.testing.assert_close(tokens(condition).flatten(0, 1), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(condition.vector_BD, parts.vector_BD[[0, 3]], rtol=1e-5, atol=1e-6)
    assert condition.mask_BL is None


def test_chunks_without_words_are_read_once() -> None:
    """Of two prompts with three chunks each, three have words, and the others are all the empty one."""
    encoder = ClipTextEncoder(towers=[tower()], chunks=3)
    counted = Counted(encoder.towers[0])
    encoder.encode(["a b c d e f g h i j", "red"])
    assert counted.all == 4


def test_each_prompt_is_kept_in_memory_of_its_own(encoder: ClipTextEncoder) -> None:
    """So that what is kept of one prompt is not all that it was read with."""
    encoder.encode(["red", "green", "blue", "a", "b", "c"])
    assert len(encoder.memory._kept) == 4
    for condition in encoder.memory._kept.values():
        for slot in condition.filled().values():
            assert slot.untyped_storage().nbytes() == slot.nbytes


def test_towers_stand_side_by_side() -> None:
    wide = {**SMALL, "width": 24, "embed_dim": 20}
    towers = [tower(), tower(architecture=wide, pooled=True), tower(tokens=False, pooled=True)]
    encoder = ClipTextEncoder(towers=towers)
    condition = encoder.encode(["red", "blue"])
    alone = [ClipTextEncoder(towers=[one]).encode(["red", "blue"]) for one in towers]
    assert torch.equal(tokens(condition), torch.cat([tokens(alone[0]), tokens(alone[1])], 2))
    assert torch.equal(condition.vector_BD, torch.cat([alone[1].vector_BD, alone[2].vector_BD], 1))
    assert encoder.null(2).tokens_BLD.shape == (2, 9, 40)


@pytest.mark.parametrize("chunks", [1, 2])
def test_null_is_the_empty_prompt_or_zeros(chunks: int) -> None:
    longer = {**SMALL, "context_length": 12}
    towers = [tower(architecture=longer, tokens=False, pooled=True), tower()]
    empty = ClipTextEncoder(towers=towers, chunks=chunks)
    zeros = ClipTextEncoder(towers=towers, chunks=chunks, null_condition="zeros").double()
    assert torch.equal(tokens(empty.null(3)), tokens(empty.encode([""] * 3)))
    null = zeros.null(3)
    assert {name: value.shape for name, value in null.filled().items()} == {
        name: value.shape for name, value in empty.null(3).filled().items()
    }
    assert all(value.dtype == torch.float64 and not value.any() for value in null.filled().values())


def test_nothing_is_cut_off_in_silence() -> None:
    long = "one two three four five six seven eight nine"
    with pytest.raises(
        ValueError, match=r"has 9 tokens, more than one chunk can hold.*cut off: 'eight nine'"
    ):
        ClipTextEncoder(towers=[tower()]).encode([long])
    cutting = ClipTextEncoder(towers=[tower()], truncate=True)
    with pytest.warns(UserWarning, match="cut off: 'eight nine'") as told:
        cut = cutting.encode([long, long])
    assert len(told) == 1
    short = cutting.encode(["one two three four five six seven"])
    assert torch.equal(tokens(cut), tokens(short).expand(2, -1, -1))
