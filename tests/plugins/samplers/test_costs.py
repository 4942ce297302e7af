"""What a step costs beside its network calls: passes over memory, counted; nothing that waits for a GPU.

A step is linear in x_t, the outputs of this step and what is remembered, so that its closed minimum is a pass for each
of these terms (a product into new memory, then sums into it), one for the noise, and one for each thing that must exist
by itself (a point to look from, an x₀ that is used three times). The table has these minima; epsilon is predicted, so
that ε costs nothing and x₀ two terms.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from diffloom.condition import Condition
from diffloom.kinds import Correction, Guidance, Walk
from diffloom.process import (
    Aims,
    Course,
    Denoised,
    Draws,
    KeyedNoise,
    Level,
    ScaledLinearSchedule,
    V,
)
from diffloom.testing.composed import composed_course
from diffloom_guidance import (
    AdaptiveProjectedGuidance,
    CFGZeroGuidance,
    ClassifierFreeGuidance,
    CombinedGuidance,
    DynamicThresholdCorrection,
    RescaleCorrection,
)
from diffloom_multistep import DEIS, IPNDM, LMS, PLMS, DPMpp2M, DPMpp3M, UniPC
from diffloom_samplers import DDIM, DDPM, DPMPP2S, Ancestry, Churn, DPMSolver2S, DPMSolver3S, Euler, Heun
from diffloom_sde import LCM, DPMpp2MSDE, DPMpp3MSDE, DPMppSDE, PredictorCorrector, SASolver

SCHEDULE = ScaledLinearSchedule().build()
LEVELS = SCHEDULE.levels([float(t) for t in range(901, 0, -100)])
SHAPE = (2, 3, 8, 8)
X = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
ASKED, NULL = Condition(class_B=torch.tensor([1, 2])), Condition(class_B=torch.tensor([0, 0]))

PASSES: dict[str, tuple[Walk, int]] = {
    # two terms, x_t and the output
    "ddim": (DDIM(), 2),
    "euler": (Euler(), 2),
    # and noise
    "ddim eta 1": (DDIM(eta=1.0), 3),
    "euler_ancestral": (Euler(ancestry=Ancestry(eta=1.0)), 3),
    "ddpm": (DDPM(), 3),
    "lcm": (LCM(), 3),
    # noise before the call too: x_t scaled, the noise added
    "euler churned": (Euler(churn=Churn(s_churn=40.0)), 4),
    # Euler's step, which is the point to look from, then both outputs
    "heun": (Heun(), 4),
    # a point to look from, then x_t and the output there: at the middle the first output counts nothing
    "dpm2": (DPMSolver2S(), 4),
    "dpm2_ancestral": (DPMSolver2S(ancestry=Ancestry(eta=1.0)), 5),
    "dpm2 elsewhere": (DPMSolver2S(r1=0.3), 5),
    # the x₀ ahead is of the point and its output
    "dpmpp_2s": (DPMPP2S(), 5),
    # a point; another, of three terms; then x_t and two outputs
    "dpm_solver_3s": (DPMSolver3S(), 8),
    # x_t, the output, and the outputs before
    "lms": (LMS(), 5),
    "plms": (PLMS(), 5),
    "ipndm": (IPNDM(), 5),
    "deis": (DEIS(), 4),
    # the x₀ before is of the x_t and the output then
    "dpmpp_2m": (DPMpp2M(), 4),
    "dpmpp_3m": (DPMpp3M(), 6),
    "dpmpp_2m_sde": (DPMpp2MSDE(), 5),
    "dpmpp_3m_sde": (DPMpp3MSDE(), 7),
    # x₀ (2), used three times; the corrected x_t of x and three x₀; the next of it and two
    "unipc": (UniPC(), 9),
    # x₀ (2); corrected: x, noise, two x₀; predicted: x, noise, two x₀
    "sa_solver": (SASolver(), 10),
    # a point of x, the output, noise; then x, the point and its output, noise
    "dpmpp_sde": (DPMppSDE(), 7),
    # the sizes of ε and noise (2), two sums; then x, the output and noise
    "predictor_corrector": (PredictorCorrector(), 7),
}
TWO_CALLS = (
    "heun",
    "dpm2",
    "dpm2_ancestral",
    "dpm2 elsewhere",
    "dpmpp_2s",
    "dpmpp_sde",
    "predictor_corrector",
)


class Passes(TorchDispatchMode):
    """Counts what is computed of whole batches; views and what the CPU knows of single numbers cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        """Whatever torch is asked for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.calls[func.overloadpacket.__name__] += 1
        tensors = [one for one in (*args, found) if isinstance(one, Tensor)]
        if not func.is_view and any(one.numel() >= X.numel() for one in tensors):
            self.counted[func.overloadpacket.__name__] += 1
        return found


def course(
    prediction: Any = None,
    *,
    guidance: Guidance | None = None,
    corrections: Sequence[Correction] = (),
    clip: float | None = None,
    learned: bool = False,
    x: Tensor = X,
) -> Course:
    """A walk as `sample` composes it, whose network gives one tensor for all."""
    outputs = {rows: torch.cat([x] * rows) * 0.9 for rows in (1, 2)}
    if learned:
        outputs = {rows: torch.cat([output, output], 1) for rows, output in outputs.items()}
    return composed_course(
        LEVELS,
        lambda seen, t, condition: outputs[len(seen) // len(x)],
        noise_BCHW=torch.ones_like(x),
        schedule=SCHEDULE,
        prediction=prediction,
        guidance=guidance,
        corrections=corrections,
        clip=clip,
        learned_variance=learned,
        aims=Aims(condition=ASKED, null=NULL),
    )


def passes(walk: Walk, course: Course) -> Counter[str]:
    """Those of a step in the middle of the walk."""
    return watched(walk, course).counted


def watched(walk: Walk, course: Course) -> Passes:
    """A step in the middle of the walk."""
    steps = walk(X, course)
    for _ in range(6):
        next(steps)
    with Passes() as mode:
        next(steps)
    return mode


@pytest.mark.parametrize("name", PASSES)
def test_a_step_is_a_pass_for_each_term(name: str) -> None:
    walk, wanted = PASSES[name]
    counted = passes(walk, course())
    assert counted.total() == wanted, counted


@pytest.mark.parametrize("name", PASSES)
def test_other_predictions_cost_little_more(name: str) -> None:
    """v has two terms where ε has one: at most twice as much. Clipping is x₀ (2) and the clamp for each call, after
    which x₀ is one term, ε two.
    """
    walk, wanted = PASSES[name]
    calls = 3 if name == "dpm_solver_3s" else 2 if name in TWO_CALLS else 1
    assert passes(walk, course(V())).total() <= 2 * wanted
    assert passes(walk, course(clip=1.0)).total() <= 2 * wanted + 3 * calls


@pytest.mark.parametrize("name", sorted(set(PASSES) - {"predictor_corrector"}))
def test_torch_is_asked_for_passes_alone(name: str) -> None:
    """No tensor of a time, no coefficient, no view: all that is not a pass was settled before the walk, for levels
    between two of the grid as well. One asks for more: how far it goes is computed for each sample.
    """
    mode = watched(PASSES[name][0], course())
    assert mode.calls == mode.counted


def test_guidance_asks_for_the_two_halves_besides() -> None:
    guided = watched(DDIM(), course(guidance=ClassifierFreeGuidance(scale=3.0)))
    assert guided.calls - guided.counted == Counter(split=1)


GUIDED: dict[str, tuple[dict[str, Any], int]] = {
    # x_t twice, one mixture of outputs, then DDIM's two
    "classifier_free": ({"guidance": ClassifierFreeGuidance(scale=3.0)}, 4),
    "a scale for each": ({"guidance": ClassifierFreeGuidance(scale=(3.0, 1.0))}, 4),
    "classifier_free, learned": ({"guidance": ClassifierFreeGuidance(scale=3.0), "learned": True}, 4),
    # x₀ (2), clamped (1)
    "clipped": ({"guidance": ClassifierFreeGuidance(scale=3.0), "clip": 1.0}, 7),
    # nothing to steer: nothing but DDIM
    "scale 1": ({"guidance": ClassifierFreeGuidance(scale=1.0)}, 2),
    "outside the interval": ({"guidance": ClassifierFreeGuidance(scale=3.0, interval=(1e3, None))}, 2),
}


@pytest.mark.parametrize("name", GUIDED)
def test_guidance_is_one_pass_and_none_where_it_sleeps(name: str) -> None:
    options, wanted = GUIDED[name]
    counted = passes(DDIM(), course(**options))
    assert counted.total() == wanted, counted


def test_what_is_not_read_is_not_made() -> None:
    """x₀ of a step is two passes when it is first read, and none again."""
    step = next(iter(DDIM()(X, course())))
    with Passes() as mode:
        first = step.x0_BCHW
        assert step.x0_BCHW is first
    assert mode.counted.total() == 2


STEERING: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipped": {"clip": 1.0},
    "learned variance": {"learned": True},
    "classifier_free": {"guidance": ClassifierFreeGuidance(scale=3.0)},
    "a scale for each, a profile": {"guidance": ClassifierFreeGuidance(scale=(3.0, 1.0), profile="cosine")},
    "apg": {"guidance": AdaptiveProjectedGuidance(scale=3.0, momentum=-0.5, threshold=1.0)},
    "cfg_zero": {"guidance": CFGZeroGuidance(scale=3.0)},
    "two at once": {
        "guidance": CombinedGuidance(
            parts=(ClassifierFreeGuidance(scale=3.0), AdaptiveProjectedGuidance(scale=2.0))
        )
    },
    "corrected": {
        "guidance": ClassifierFreeGuidance(scale=3.0),
        "corrections": [RescaleCorrection(space="v"), DynamicThresholdCorrection()],
    },
}


@pytest.mark.parametrize("steering", STEERING)
@pytest.mark.parametrize("name", PASSES)
def test_nothing_waits_for_the_device(name: str, steering: str) -> None:
    """On the meta device there are no values: a step that reads one (`item`, `bool`, `tolist`) would raise."""
    x = X.to("meta")
    (*_, last) = PASSES[name][0](x, keyed(course(**STEERING[steering], x=x), x))
    assert last.following_BCHW.device.type == "meta"
    assert last.x0_BCHW.shape == x.shape


def test_what_waits_would_be_seen() -> None:
    """A correction that looks at a number stops the walk there."""
    x = X.to("meta")

    def curious(x_t: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Tensor:
        return guided.x0_BCHW / max(1.0, float(guided.x0_BCHW.abs().max()))

    given = course(x=x)

    def looked(x_BCHW: Tensor, level: Level) -> Denoised:
        said = given.denoise(x_BCHW, level)
        return said.with_x0(curious(x_BCHW, level, said, said), level)

    with pytest.raises(RuntimeError, match="meta"):
        list(DDIM()(x, replace(given, denoise=looked)))


def keyed(given: Course, x: Tensor) -> Course:
    """With noise that is drawn."""
    draws = Draws.of(0, range(len(x)))
    return replace(given, noise=KeyedNoise(draws, tuple(x.shape[1:]), x.device, x.dtype))
