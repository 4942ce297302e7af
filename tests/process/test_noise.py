"""Keyed noise: the published generator, pinned numbers, moments, and independence of everything but the key."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffloom.process import Draws, keyed_generator

WORD = 2**64
words = st.integers(0, WORD - 1)


def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Philox 4x64-10, written from Salmon et al. 2011, section 4 and table 2."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = (second >> 64) ^ b ^ k0, second % WORD, (first >> 64) ^ d ^ k1, first % WORD
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % WORD, (k1 + 0xBB67AE8584CAA73B) % WORD
    return [a, b, c, d]


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0] * 4, [0] * 2, "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
        (
            [WORD - 1] * 4,
            [WORD - 1] * 2,
            "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
        ),
        (
            [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
            [0x452821E638D01377, 0xBE5466CF34E90C6C],
            "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
        ),
    ],
)
def test_the_oracle_itself(counter: list[int], key: list[int], answer: str) -> None:
    """The known answers that its authors ship with Random123."""
    assert philox(counter, key) == [int(word, 16) for word in answer.split()]


@given(seed=words, sample=words, step=words, purpose=st.text(max_size=10))
def test_bits_are_philox_of_the_key(seed: int, sample: int, step: int, purpose: str) -> None:
    """Key (seed, purpose), counter (n, step, sample, 0) with n = 1, 2, …: word for word, over all 64 bits."""
    word = int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")
    raw = keyed_generator(seed, sample, step, purpose).bit_generator.random_raw(8).tolist()
    assert raw == [bits for n in (1, 2) for bits in philox([n, step, sample, 0], [seed, word])]


def test_a_key_is_all_that_is_asked_for() -> None:
    """No entropy of the system's; and a copy, or what another process was sent, goes on with the same numbers."""
    generator = keyed_generator(5, 17, 3, "step")
    assert not isinstance(generator.bit_generator.seed_seq, np.random.SeedSequence)
    generator.random(3)
    copies = [copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))]
    wanted = generator.random(3).tolist()
    assert [one.random(3).tolist() for one in copies] == [wanted] * 2


@pytest.mark.parametrize("bad", [-1, WORD])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_keys_beyond_64_bits_are_refused(bad: int, place: int) -> None:
    """Rather than wrapped around into another seed's noise."""
    numbers = [0, 0, 0]
    numbers[place] = bad
    with pytest.raises((OverflowError, ValueError)):
        keyed_generator(*numbers, "noise")


def test_pinned_numbers() -> None:
    """What (seed, sample, step, purpose) has meant since the first release.

    numpy may change how it makes normal numbers from bits: if this fails, saved recipes no longer give their images,
    and the release notes must say so.
    """
    draws = Draws(((5, 17), (WORD - 1, 0)), step=3)
    assert draws.normal("step", (3,)).flatten().tolist() == PINNED_FLOAT32
    assert draws.normal("step", (3,), dtype=torch.float64).flatten().tolist() == PINNED_FLOAT64
    assert draws.uniform("time").tolist() == PINNED_UNIFORM


PINNED_FLOAT32 = [
    -0.22052669525146484,
    0.5099721550941467,
    -0.2629071772098541,
    0.11600156128406525,
    0.5119498372077942,
    1.6264114379882812,
]
PINNED_FLOAT64 = [
    -1.4014427554552473,
    -0.7422646169802329,
    1.741037914660872,
    2.638777650177736,
    0.05989827986721258,
    -0.4383246300907551,
]
PINNED_UNIFORM = [0.7466792436605154, 0.1333836256046036]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_do_not_depend_on_the_batch(dtype: torch.dtype) -> None:
    """Row (5, 17) is bit-equal alone, in a batch of 64, reordered, and beside other seeds."""
    shape = (3, 8, 8)
    alone = Draws.of(5, [17]).normal("prior", shape, dtype=dtype)[0]
    assert torch.equal(Draws.of(5, range(64)).normal("prior", shape, dtype=dtype)[17], alone)
    assert torch.equal(Draws.of(5, range(63, -1, -1)).normal("prior", shape, dtype=dtype)[46], alone)
    assert torch.equal(Draws(((9, 17), (5, 17), (5, 17))).normal("prior", shape, dtype=dtype)[2], alone)
    assert torch.equal(Draws.of(5, range(64)).uniform("time")[[17, 3]], Draws.of(5, [17, 3]).uniform("time"))


def test_drawing_has_no_memory() -> None:
    """The order of draws, and draws from other generators, change nothing."""
    draws = Draws.of(1, range(4))
    first = draws.normal("noise", (5,))
    torch.randn(3)
    np.random.default_rng().normal()
    draws.at(9).normal("noise", (5,))
    draws.uniform("time")
    assert torch.equal(draws.normal("noise", (5,)), first)
    assert torch.equal(draws.at(9).at(0).normal("noise", (5,)), first)


def test_every_part_of_the_key_counts() -> None:
    """Seeds, sample ids, steps and purposes near each other and at the far end: 108 draws, all different."""
    numbers = (0, 1, WORD - 1)
    drawn = [
        tuple(Draws(((seed, sample),), step).normal(purpose, (4,)).flatten().tolist())
        for seed, sample, step, purpose in itertools.product(
            numbers, numbers, numbers, ["time", "noise", "prior", "step"]
        )
    ]
    assert len({value for row in drawn for value in row}) == 4 * 108


def test_swapping_seed_sample_and_step_is_another_draw() -> None:
    rows = [Draws(((s, i),), k).normal("noise", (8,)) for s, i, k in itertools.permutations((1, 2, 3))]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(rows, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_are_standard_normal(dtype: torch.dtype) -> None:
    """First four moments over 1000 keys of 1000 numbers, at 5 standard errors: false alarms below 1 in 10⁶ each."""
    x = Draws.of(0, range(1000)).normal("noise", (1000,), dtype=dtype).double()
    n = x.numel()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert float((x**power).mean()) == pytest.approx(moment, abs=5 * (variance / n) ** 0.5)


@pytest.mark.parametrize("axis", ["seed", "sample", "step", "purpose"])
def test_neighbouring_keys_are_uncorrelated(axis: str) -> None:
    """Products of draws at keys k and k + 1 average 0; 10⁶ of them, at 5 standard errors (1 in 10⁶)."""

    def draw(k: int) -> torch.Tensor:
        key = {"seed": 7, "sample": 7, "step": 7, "purpose": 7, axis: k}
        draws = Draws(((key["seed"], key["sample"]),), key["step"])
        return draws.normal(f"purpose {key['purpose']}", (1000,), dtype=torch.float64)[0]

    rows = torch.stack([draw(k) for k in range(1001)])
    assert float((rows[1:] * rows[:-1]).mean()) == pytest.approx(0, abs=5 / 1000)


def test_uniform_numbers() -> None:
    """In [0, 1), with the mean and variance of the uniform law at 5 standard errors over 10⁵ rows."""
    u = Draws.of(3, range(100_000)).uniform("time")
    assert u.dtype == torch.float64
    assert 0 <= float(u.min()) <= float(u.max()) < 1
    assert float(u.mean()) == pytest.approx(1 / 2, abs=5 * (1 / 12 / 1e5) ** 0.5)
    assert float(u.var()) == pytest.approx(1 / 12, abs=5 * (1 / 180 / 1e5) ** 0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_the_rounded_float32(dtype: torch.dtype) -> None:
    draws = Draws.of(0, range(3))
    assert torch.equal(draws.normal("noise", (7, 2), dtype=dtype), draws.normal("noise", (7, 2)).to(dtype))


def test_shapes() -> None:
    assert Draws.of(0, range(3)).normal("noise", (2, 4, 5)).shape == (3, 2, 4, 5)
    assert Draws.of(0, []).normal("noise", (2,)).shape == (0, 2)


@pytest.mark.parametrize(
    ("device", "is_fetched"), [("cuda", True), (torch.device("cuda", 1), True), ("cpu", False)]
)
def test_a_gpu_fetches_its_noise_by_itself(
    device: torch.device | str, *, is_fetched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From pinned memory, without waiting, and before it is cast, whose result would lie elsewhere."""
    told: list[tuple[str, bool]] = []
    empty, to = torch.empty, torch.Tensor.to

    def noted_empty(*args: Any, pin_memory: bool, **kwargs: Any) -> torch.Tensor:
        told.append(("pinned", pin_memory))
        return empty(*args, **kwargs)

    def noted_to(x: torch.Tensor, where: Any, *, non_blocking: bool = False) -> torch.Tensor:
        is_cast = isinstance(where, torch.dtype)
        told.append(("cast" if is_cast else f"to {torch.device(where).type}", non_blocking))
        return to(x, where) if is_cast else x  # there is no such device here

    draws = Draws.of(5, [17, 3])
    wanted = draws.normal("prior", (2, 3)).to(torch.bfloat16)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", noted_empty)
        patch.setattr(torch.Tensor, "to", noted_to)
        found = draws.normal("prior", (2, 3), dtype=torch.bfloat16, device=device)
    assert told == [("pinned", is_fetched), (f"to {torch.device(device).type}", is_fetched), ("cast", False)]
    assert torch.equal(found, wanted)
