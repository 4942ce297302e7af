"""Work in shares. Oracle: the same work done by one thread; what each thread says of itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from diffloom.nn.shares import alone, in_shares, shares


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_item_is_worked_on_once_and_parts_are_consecutive(count: int) -> None:
    parts = in_shares(list[int], range(count))  # in their order, whoever is done first
    assert [item for part in parts for item in part] == list(range(count))
    assert len(parts) == min(3, count)
    assert all(part == list(range(part[0], part[-1] + 1)) for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_they_work_at_the_same_time_each_with_one_thread() -> None:
    meeting = threading.Barrier(3)
    threads: list[tuple[str, int]] = []

    def work(_: Sequence[int]) -> None:
        meeting.wait(30)
        threads.append((threading.current_thread().name, torch.get_num_threads()))

    in_shares(work, range(3))
    assert len({name for name, _ in threads}) == 3
    assert {count for _, count in threads} == {1}
    assert alone(torch.get_num_threads) == 1


def test_gradients_are_as_for_the_caller() -> None:
    modes: list[tuple[bool, bool]] = []

    def work(_: Sequence[int]) -> None:
        modes.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))

    for mode, found in (
        (torch.inference_mode(), (True, False)),
        (torch.no_grad(), (False, False)),
        (torch.enable_grad(), (False, True)),
    ):
        with mode:
            in_shares(work, range(3))
        assert modes == [found] * 3
        modes.clear()


def test_an_error_is_the_caller_s() -> None:
    def work(some: Sequence[int]) -> None:
        if 2 in some:
            raise ValueError("the third")

    with pytest.raises(ValueError, match="the third"):
        in_shares(work, range(3))


def test_nothing_is_shared_where_others_would_not_be_seen() -> None:
    """A counter sees one thread's operations; automatic casts are one thread's too."""
    assert shares() == 3
    x = torch.ones(8, 8)

    def multiply(some: Sequence[int]) -> None:
        for _ in some:
            x @ x

    with FlopCounterMode(display=False) as counter:
        assert shares() == 1
        in_shares(multiply, range(3))
    assert counter.get_total_flops() == 3 * 2 * 8**3
    with torch.autocast("cpu"):
        assert shares() == 1
    assert alone(shares) == 1
