"""Oracles: SplitMix64 in Python's own integers and its published numbers, torch's dropout, the binomial law."""

from __future__ import annotations

from hashlib import blake2b

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from diffloom.nn import Dropout, key_dropout, unkeyed_dropout
from diffloom.nn.splitmix import split
from diffloom.process import Draws

WORD = 2**64


def splitmix64(state: int) -> int:
    """The output function of Steele, Lea and Flood's generator, as Vigna's C code has it."""
    z = state % WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def python_split(key: int, place: int) -> int:
    return splitmix64(key + (place + 1) * 0x9E3779B97F4A7C15)


def signed(word: int) -> int:
    return word - WORD if word >= WORD // 2 else word


class Net(nn.Module):
    """Two layers that drop, of one shape."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.first = Dropout(p)
        self.second = Dropout(p)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.first(x), self.second(x)


def test_the_published_numbers_come_out() -> None:
    """The first five of seed 1234567, as every implementation prints them."""
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    found = split(torch.tensor(1234567), torch.arange(5))
    assert [number % WORD for number in found.tolist()] == published


@given(st.integers(0, WORD - 1), st.integers(0, WORD - 1))
def test_any_key_and_place_are_as_in_whole_numbers(key: int, place: int) -> None:
    expected = signed(python_split(key, place))
    for given_place in (torch.tensor(signed(place)), place):
        assert split(torch.tensor(signed(key)), given_place).item() == expected


def test_a_mask_is_what_its_words_say() -> None:
    """(seed, sample, step, name) → words → lanes of 16 bits, lowest first; the lowest values of a lane drop."""
    net, p = Net(0.3), 0.3
    seed, sample, step = WORD - 2, 2**63 + 5, 7
    key_dropout(net, Draws(((0, 0), (seed, sample)), step))
    out = net.second(torch.ones(2, 3, 5))[1].flatten()
    name = signed(int.from_bytes(blake2b(b"second", digest_size=8).digest(), "little"))
    key = python_split(python_split(python_split(python_split(0, seed), sample), step), name)
    words = [python_split(key, place) for place in range(4)]
    lanes = [(word >> 16 * lane) % 2**16 for word in words for lane in range(4)][:15]
    drop = round(p * 2**16)
    # Lanes are read as signed numbers, of which −2¹⁵ is the lowest.
    kept = [(lane - 2**16 if lane >= 2**15 else lane) >= drop - 2**15 for lane in lanes]
    expected = torch.tensor([2**16 / (2**16 - drop) if keep else 0.0 for keep in kept])
    assert torch.equal(out, expected)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.sampled_from([(3,), (5, 2), (2, 3, 3)]))
def test_the_split_of_a_batch_changes_no_mask(sizes: list[int], shape: tuple[int, ...]) -> None:
    count = sum(sizes)
    net, x = Net(0.5), torch.randn(count, *shape)
    draws = Draws.of(5, range(100, 100 + count))
    key_dropout(net, draws)
    whole = net.second(x)
    parts, start = [], 0
    for size in sizes:
        key_dropout(net, Draws(draws.keys[start : start + size]))
        parts.append(net.second(x[start : start + size]))
        start += size
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_dropped_is_p_everywhere(p: float) -> None:
    """Within 5 deviations of the binomial law: in all, in each example, at each place, in each pair of masks."""
    examples, places = 200, 503
    net = Net(p)
    key_dropout(net, Draws.of(0, range(examples)))
    first, second = (out != 0 for out in net(torch.ones(examples, places)))

    def agrees(share: torch.Tensor, expected: float, count: int) -> bool:
        return bool(((share - expected).abs() < 5 * (expected * (1 - expected) / count) ** 0.5).all())

    kept = 1 - p
    assert agrees(first.double().mean(), kept, examples * places)
    assert agrees(first.double().mean(1), kept, places)
    assert agrees(first.double().mean(0), kept, examples)
    assert agrees((first & second).double().mean(), kept**2, examples * places)  # two layers
    assert agrees((first[1:] & first[:-1]).double().mean(), kept**2, (examples - 1) * places)  # two examples
    assert agrees(
        (first[:, 1:] & first[:, :-1]).double().mean(), kept**2, examples * (places - 1)
    )  # neighbours


def test_seed_step_and_sample_each_give_another_mask() -> None:
    net, x = Net(0.5), torch.ones(1, 256)
    masks = []
    for draws in (Draws.of(0, [0]), Draws.of(1, [0]), Draws.of(0, [1]), Draws.of(0, [0], step=1)):
        key_dropout(net, draws)
        masks.append(net.first(x))
    assert len({mask.numpy().tobytes() for mask in masks}) == 4


def test_a_layer_computed_again_drops_the_same() -> None:
    net, x = Net(0.5), torch.randn(4, 64)
    key_dropout(net, Draws.of(0, range(4)))
    once = net.first(x)
    torch.manual_seed(1)
    assert torch.equal(net.first(x), once)


def test_the_gradient_passes_where_the_value_did() -> None:
    net, x = Net(0.4), torch.randn(3, 50, dtype=torch.float64, requires_grad=True)
    key_dropout(net, Draws.of(0, range(3)))
    out = net.first(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), out.detach(), rtol=1e-15, atol=0)


def test_a_byte_is_kept_for_each_activation() -> None:
    net, x = Net(0.4), torch.randn(3, 50, requires_grad=True)
    key_dropout(net, Draws.of(0, range(3)))
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net.first(x)
    assert sum(kept) == x.numel()


def test_the_type_is_the_input_s() -> None:
    net = Net(0.4)
    key_dropout(net, Draws.of(0, range(3)))
    assert net.first(torch.ones(3, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_evaluation_and_p_0_are_the_identity() -> None:
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_without_keys_it_is_torch_s_own() -> None:
    layer, x = Dropout(0.3), torch.randn(6, 7)
    torch.manual_seed(3)
    ours = layer(x)
    torch.manual_seed(3)
    assert torch.equal(ours, functional.dropout(x, 0.3))


def test_keys_are_no_part_of_the_weights() -> None:
    net = Net(0.3)
    key_dropout(net, Draws.of(0, range(3)))
    assert net.state_dict() == {}


def test_another_batch_than_the_keys_is_refused() -> None:
    net = Net(0.3)
    key_dropout(net, Draws.of(0, range(3)))
    with pytest.raises(
        ValueError, match=r"keyed for a batch of 3 examples and was given one of 6.*key_dropout"
    ):
        net.first(torch.ones(6, 2))


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_a_probability_is_below_one(p: float) -> None:
    with pytest.raises(ValueError, match=r"a probability in \[0, 1\), not"):
        Dropout(p)


def test_nearly_everything_may_drop() -> None:
    """p is held to a 65536th, and never to 1."""
    net = Net(1 - 1e-9)
    key_dropout(net, Draws.of(0, range(4)))
    assert set(net.first(torch.ones(4, 100_000)).unique().tolist()) == {0.0, 65536.0}


def test_torch_s_own_layers_are_told_where_they_act() -> None:
    net = nn.ModuleDict(
        {
            "ours": Dropout(0.1),
            "theirs": nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.Dropout2d(0.2), nn.Dropout(0.0)),
            "attention": nn.MultiheadAttention(4, 2, dropout=0.1),
            "recurrent": nn.GRU(2, 2, num_layers=2, dropout=0.1),
            "still": nn.Dropout(0.5).eval(),
        }
    )
    assert unkeyed_dropout(net) == ["theirs.1", "theirs.2", "attention", "recurrent"]


def test_compiled_a_mask_is_one_operation_with_the_same_bits() -> None:
    """Over a row whose last word is used in part, which torch's own code for CPUs gets wrong."""
    layer = Dropout(0.25).train()
    layer.keys_B = torch.tensor([3, -(2**40)])
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x = torch.ones(2, 3, 5)
    assert torch.equal(compiled(x), layer(x))
    torch.library.opcheck(torch.ops.diffloom.kept.default, (layer.keys_B, (2, 3, 5), 1000))
