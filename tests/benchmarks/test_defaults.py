"""Who is beside whom where nothing is asked for. Oracle: torch's own settings, asked from within."""

from __future__ import annotations

from dataclasses import replace

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.defaults import SAME_AGAIN, computed_in, with_defaults
from torch import nn

CASE = Case(
    "work",
    Arm("diffusers fp32", lambda: torch.tensor(float(torch.backends.cudnn.allow_tf32))),
    [Arm("diffloom fp32", lambda: None)],
)
COMES = Arm("diffloom as it comes", lambda: None, precision="bf16")


def test_on_a_cpu_the_peer_in_float32_is_the_peer_as_it_comes() -> None:
    (case,) = with_defaults(CASE, COMES, torch.device("cpu"))
    assert case.peer is CASE.peer
    assert case.ours == [*CASE.ours, COMES]


def test_where_what_comes_is_the_same_engine_it_takes_few_turns() -> None:
    (case,) = with_defaults(CASE, replace(COMES, precision="fp32"), torch.device("cpu"))
    assert [arm.turns for arm in case.ours] == [None, SAME_AGAIN]


def test_on_a_gpu_only_the_peer_as_it_comes_rounds_to_tf32() -> None:
    exact, default = with_defaults(CASE, COMES, torch.device("cuda"))
    assert torch.backends.cudnn.allow_tf32, "as torch is set unless told otherwise"
    assert (exact.peer.call(), default.peer.call()) == (0, 1)
    assert (exact.peer.precision, default.peer.precision) == ("fp32", "tf32")
    assert (exact.ours, default.ours) == (CASE.ours, [COMES])


def test_the_peer_as_it_comes_begins_anew_where_calls_go_on_from_each_other() -> None:
    _, default = with_defaults(CASE, COMES, torch.device("cuda"), anew=lambda: lambda: torch.tensor(7.0))
    assert default.peer.call() == 7


def test_the_type_is_that_which_is_computed_in() -> None:
    small = nn.Linear(2, 2)
    assert computed_in("bf16", small) == "bf16"
    assert computed_in("auto", small) == "fp32", "a small network stays exact"
