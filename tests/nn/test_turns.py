"""Many at once, or one alone. Oracle: who is in, written down by whoever enters."""

from __future__ import annotations

import threading
import time

import pytest

from diffloom.nn.turns import Turns


def test_one_is_alone_and_others_are_together() -> None:
    turns, inside, worst = Turns(), [0, 0], [0, 0]
    start, lock = threading.Barrier(6), threading.Lock()

    def enter(alone: bool) -> None:
        start.wait()
        for _ in range(20):
            with turns.alone() if alone else turns.together():
                with lock:
                    inside[alone] += 1
                    worst[:] = [max(worst[0], inside[0]), max(worst[1], inside[1])]
                    assert not (inside[1] and inside[0])
                time.sleep(1e-4)
                with lock:
                    inside[alone] -= 1

    raised: list[BaseException] = []

    def run(alone: bool) -> None:
        try:
            enter(alone)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number % 3 == 0,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not raised
    assert not any(thread.is_alive() for thread in threads)
    assert worst[1] == 1
    assert worst[0] > 1


def test_who_is_alone_may_enter_again() -> None:
    turns = Turns()
    with turns.alone(), turns.together(), turns.alone():
        pass
    with turns.together():
        pass


def test_an_error_leaves_nobody_in() -> None:
    turns = Turns()
    for way in (turns.alone, turns.together):
        with pytest.raises(KeyboardInterrupt), way():
            raise KeyboardInterrupt
    with turns.alone():
        pass
