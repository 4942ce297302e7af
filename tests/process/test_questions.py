"""What a network is asked, settled before the walk. Oracles: the conversion on tensors, `torch.full`, counted calls."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from diffloom.condition import Condition
from diffloom.kinds import Conversion
from diffloom.process import CLEAN, Level, LinearSchedule, Preconditioned, Questions, V, denoiser

SCHEDULE = LinearSchedule().build()
LEVELS = SCHEDULE.levels([900.5, 600, 3])
X = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Calls(TorchDispatchMode):
    """Counts what is asked of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counted[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("prediction", [V(), Preconditioned()], ids=lambda one: type(one).__name__)
def test_the_numbers_are_the_conversion_s(prediction: Conversion) -> None:
    questions = Questions(prediction, LEVELS)
    assert list(questions) == list(LEVELS[:-1])
    for level, question in questions.items():
        x0, eps = prediction.x0_eps(X.sin(), X, level.alpha, level.sigma)
        form = question.form
        torch.testing.assert_close(form.x0_x * X + form.x0_y * X.sin(), x0, rtol=0, atol=1e-13)
        torch.testing.assert_close(form.eps_x * X + form.eps_y * X.sin(), eps, rtol=0, atol=1e-13)
        assert question.scale_in == float(prediction.scale_in(level.alpha, level.sigma))


def test_the_clean_level_is_no_question() -> None:
    with pytest.raises(ValueError, match="nothing to denoise"):
        Questions(V())[CLEAN]


def test_times_are_made_for_the_whole_walk_at_once() -> None:
    """Other rows have tensors of their own, and a level that was not known is added."""
    questions = Questions(V(), LEVELS)
    with Calls() as mode:
        for level in LEVELS[:-1]:
            question, t_B = questions.put(level, 3, X.device)
            assert question is questions[level]
            assert t_B.dtype == torch.float32
            assert t_B.tolist() == [level.t] * 3
    assert mode.counted["repeat"] == 1
    assert questions.put(LEVELS[1], 2, X.device)[1].tolist() == [600.0] * 2
    between = SCHEDULE.level(0.5)
    _, t_B = questions.put(between, 3, X.device)
    torch.testing.assert_close(t_B, torch.full((3,), between.t), rtol=0, atol=0)


def test_where_a_sampler_looks_it_will_ask() -> None:
    """What `at` found costs the conversion nothing any more: only the network's own call is seen, and its times."""
    questions = Questions(V(), LEVELS)
    between = questions.expecting(SCHEDULE.level)(0.5)
    assert between == SCHEDULE.level(0.5)

    def network(x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        return x_BCHW

    denoise = denoiser(network, V(), questions=questions)
    denoise(X, LEVELS[0], Condition())
    with Calls() as mode:
        denoise(X, between, Condition())
    assert mode.counted.total() == 0, mode.counted


def test_a_prediction_is_asked_once_for_each_level() -> None:
    asked: list[float] = []

    class Counting(V):
        def x0_eps(
            self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
        ) -> tuple[Tensor, Tensor]:
            asked.append(float(alpha))
            return super().x0_eps(output, x_t, alpha, sigma)

    prediction = Counting()
    denoise = denoiser(lambda x, t, condition: x, prediction, questions=Questions(prediction, LEVELS))
    levels: list[Level] = [*LEVELS[:-1]] * 2
    for level in levels:
        denoise(X, level, Condition())
    assert asked == [level.alpha for level in LEVELS[:-1]]


@given(t=st.floats(0, 1000), alpha=st.floats(0, 1), sigma=st.floats(0, 1))
def test_equal_levels_are_one_key(t: float, alpha: float, sigma: float) -> None:
    """What is settled for a level is found by another object of the same numbers, and by no level of others."""
    level, same = Level(t, alpha, sigma), Level(t, alpha, sigma)
    assert {level: "known"}[same] == "known"
    assert Level(t + 1, alpha, sigma) not in {level: "known"}
    assert Level(t, alpha + 1, sigma) not in {level: "known"}
