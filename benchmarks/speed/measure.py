"""Arms measured in turns: time by the process's CPU clock, peak memory, and how far the outputs are apart."""

from __future__ import annotations

import gc
import resource
import time
from dataclasses import dataclass
from statistics import median, quantiles

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.memory import Peak
from torch import Tensor


@dataclass(frozen=True)
class Figures:
    """What was found of one arm; times are those of one call."""

    arm: str
    ratio: float
    """The peer's time by this arm's, the median over the rounds: above 1 is faster than the peer."""
    spread: tuple[float, float]
    """Lower and upper quartile of the ratios."""
    seconds: float
    """Median on the clock that ratios are made of: the CPU time of the case's clock, all threads together; on CUDA the
    wall's."""
    wall_seconds: float
    difference: float | None
    """Largest difference from the peer's output, in standard deviations of that; None where nothing is comparable."""
    peak_mib: float | None
    """Memory at most beyond what there was before a call; None where the system does not say."""


def measured(case: Case, device: torch.device) -> list[Figures]:
    """The figures of every arm, the peer's first."""
    arms = [case.peer, *case.ours]
    outputs = {arm.name: arm.call() for arm in arms}
    turns: dict[str, list[tuple[float, float]]] = {arm.name: [] for arm in arms}
    for turn in range(case.rounds):
        order = arms if turn % 2 else arms[::-1]  # whoever comes second finds other caches
        for arm in order:
            turns[arm.name].append(_timed(arm, case, device))
    clock = 1 if device.type == "cuda" and case.clock == "process" else 0
    found = []
    for arm in arms:
        times = [times[clock] for times in turns[arm.name]]
        ratios = [
            peer[clock] / own[clock] for peer, own in zip(turns[case.peer.name], turns[arm.name], strict=True)
        ]
        lower, _, upper = quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        found.append(
            Figures(
                arm=arm.name,
                ratio=median(ratios),
                spread=(lower, upper),
                seconds=median(times),
                wall_seconds=median(wall for _, wall in turns[arm.name]),
                difference=_difference(outputs[case.peer.name], outputs[arm.name]),
                peak_mib=_peak(arm, device) if case.clock == "process" else None,
            )
        )
    return found


def _timed(arm: Arm, case: Case, device: torch.device) -> tuple[float, float]:
    """CPU and wall seconds of one call."""
    _wait(device)
    cpu_time = time.process_time if case.clock == "process" else _children_time
    cpu, wall = cpu_time(), time.perf_counter()
    for _ in range(case.calls):
        arm.call()
    _wait(device)
    return (cpu_time() - cpu) / case.calls, (time.perf_counter() - wall) / case.calls


def _children_time() -> float:
    """CPU seconds of all processes that this one has started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(arm: Arm, device: torch.device) -> float | None:
    gc.collect()
    with Peak(device) as peak:
        arm.call()
    return peak.mib


def _difference(peer: Tensor | None, own: Tensor | None) -> float | None:
    if peer is None or own is None:
        return None
    return ((own.double() - peer.double()).abs().max() / peer.double().std()).item()
