"""Arms measured in turns: time by the process's CPU clock, peak memory, and how far the outputs are apart."""

from __future__ import annotations

import gc
import resource
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count
from statistics import median, quantiles

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.memory import Peak
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Figures:
    """What was found of one arm; times are those of one call."""

    arm: str
    ratio: float
    """The peer's time by this arm's, the median over the rounds: above 1 is faster than the peer."""
    spread: tuple[float, float]
    """Lower and upper quartile of the ratios."""
    rounds: int
    """How many there were."""
    seconds: float
    """Median on the clock that ratios are made of: the CPU time of the case's clock, all threads together; on CUDA the
    wall's."""
    wall_seconds: float
    wall_ratio: float
    """As `ratio`, by the wall's clock: threads that wait are no work, and somebody waits for them all the same."""
    gflop: float | None
    """Floating-point operations as the peer does them, in 10⁹; None where these are not what it costs."""
    difference: float | None
    """Largest difference from the peer's output, in standard deviations of that; None where nothing is comparable."""
    peak_mib: float | None
    """Memory at most beyond what there was before a call; None where the system does not say."""


@dataclass(frozen=True)
class Turn:
    """An arm's part of a round."""

    cpu_seconds: float
    wall_seconds: float
    output: Tensor | None
    peak_mib: float | None
    """None where nobody watched."""


def measured(case: Case, device: torch.device) -> list[Figures]:
    """The figures of every arm, the peer's first."""
    arms = [case.peer, *case.ours]
    gflop = _warmed_up(case)
    turns: dict[str, dict[int, Turn]] = defaultdict(dict)  # by round
    began = time.perf_counter()
    for number in count(1):
        is_over = time.perf_counter() - began > case.seconds and number >= case.fewest
        is_last = is_over or number == case.rounds
        if is_last:
            gc.collect()  # what is garbage is no part of what there was before
        order = arms if number % 2 else arms[::-1]  # whoever comes second finds other caches
        for arm in order:
            if arm.turns is None or number < arm.turns or is_last:
                turns[arm.name][number] = _turn(arm, case, device, first=number == 1, watched=is_last)
        if is_last:
            break
    return [_figures(case, arm, turns, gflop, device) for arm in arms]


def _warmed_up(case: Case) -> float | None:
    """The first call of every arm, in which networks are made ready and prompts remembered; the peer's operations.

    A process remembers nothing of one before it.
    """
    if case.clock == "children":
        return case.gflop
    with FlopCounterMode(display=False) if case.counts else nullcontext() as counter:
        case.peer.call()
    for arm in case.ours:
        arm.call()
    return case.gflop if counter is None else counter.get_total_flops() / 1e9


def _turn(arm: Arm, case: Case, device: torch.device, *, first: bool, watched: bool) -> Turn:
    """One turn. Its memory is watched in the last round, before which the allocator gives back what it kept: what that
    costs in time is one of several rounds, of which the median is told."""
    cpu_time = time.process_time if case.clock == "process" else _children_time
    with Peak(device) if watched and case.clock == "process" else nullcontext() as peak:
        _wait(device)
        cpu, wall = cpu_time(), time.perf_counter()
        for _ in range(case.calls):
            output = arm.call()
        _wait(device)
        cpu, wall = cpu_time() - cpu, time.perf_counter() - wall
    return Turn(
        cpu_seconds=cpu / case.calls,
        wall_seconds=wall / case.calls,
        output=output if first else None,  # the rest would be held while memory is watched
        peak_mib=None if peak is None else peak.mib,
    )


def _figures(
    case: Case, arm: Arm, turns: Mapping[str, Mapping[int, Turn]], gflop: float | None, device: torch.device
) -> Figures:
    def seconds(turn: Turn) -> float:
        is_on_device = device.type == "cuda" and case.clock == "process"
        return turn.wall_seconds if is_on_device else turn.cpu_seconds

    by_round = turns[arm.name]
    own, theirs = list(by_round.values()), [turns[case.peer.name][number] for number in by_round]
    ratios = [seconds(a) / seconds(b) for a, b in zip(theirs, own, strict=True)]
    by_wall = [a.wall_seconds / b.wall_seconds for a, b in zip(theirs, own, strict=True)]
    lower, _, upper = quantiles(ratios, n=4) if len(ratios) > 2 else (min(ratios), None, max(ratios))
    return Figures(
        arm=arm.name,
        ratio=median(ratios),
        spread=(lower, upper),
        rounds=len(own),
        seconds=median(seconds(turn) for turn in own),
        wall_seconds=median(turn.wall_seconds for turn in own),
        wall_ratio=median(by_wall),
        gflop=gflop,
        difference=_difference(theirs[0].output, own[0].output),
        peak_mib=own[-1].peak_mib,
    )


def _children_time() -> float:
    """CPU seconds of all processes that this one has started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _difference(peer: Tensor | None, own: Tensor | None) -> float | None:
    if peer is None or own is None:
        return None
    return ((own.double() - peer.double()).abs().max() / peer.double().std()).item()
