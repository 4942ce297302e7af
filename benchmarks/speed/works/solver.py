"""What a step of each sampler costs beside the network: latents of 1×4×64×64 in float32, 50 steps.

Arithmetic alone: both networks return a tensor that exists, both sides are given the noise that they ask for, and
setting up (`set_timesteps`, our coefficients) is over before the clock runs. Both make what the network is given, x and
a time for each of its rows, and mix what it says under two conditions; the peer's `step` is called as its pipelines
call it, without a dictionary. A step of two network calls is two of the peer's. Drawing the noise is measured by
itself.

Beside them stands what no engine can leave out: the step's passes over x, by bare `torch.add`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import diffusers
import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from diffloom.kinds import Conversion, Walk
from diffloom.process import (
    CLEAN,
    Draws,
    Epsilon,
    FlowVelocity,
    KeyedNoise,
    Level,
    Preconditioned,
    ScaledLinearSchedule,
)
from diffloom.testing.closed_forms import exploding_at, flowing_at
from diffloom.testing.composed import composed_course
from diffloom_guidance import ClassifierFreeGuidance
from diffloom_multistep import DEIS, IPNDM, LMS, PLMS, DPMpp2M, DPMpp3M, UniPC
from diffloom_samplers import DDIM, DDPM, DPMPP2S, Ancestry, DPMSolver2S, Euler, Heun
from diffloom_sde import LCM, DPMpp2MSDE, SASolver

SHAPE = (1, 4, 64, 64)
STEPS, ROUNDS, WALKS_A_TURN = 50, 5, 2
STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULE = ScaledLinearSchedule().build()
EPSILON = Epsilon()
PASSES = "its passes alone"
GOAL = Goal("solver arithmetic of a step", "speed", 8, least=PASSES)


@dataclass(frozen=True)
class Pair:
    """A scheduler of the peer's, and the walk of ours that does the same."""

    peer: str
    passes: int
    """Over tensors like x, that a step needs at least: one for each tensor of its sum, and with guidance one for the
    network's two rows of x and one that mixes what it says of them. tests/plugins/samplers/test_costs.py says why."""
    walk: Walk
    options: dict[str, Any]
    prediction: Conversion = EPSILON
    at: Callable[[float], Level] = SCHEDULE.level
    calls: int = 1
    """Network calls of a step."""
    scale: float | None = None
    """Of guidance."""


PAIRS = {
    "ddim": Pair("DDIMScheduler", 2, DDIM(), {**STABLE, "clip_sample": False}),
    "ddim, guided": Pair("DDIMScheduler", 4, DDIM(), {**STABLE, "clip_sample": False}, scale=7.5),
    "ddpm": Pair("DDPMScheduler", 3, DDPM(), {**STABLE, "clip_sample": False}),
    "plms": Pair("PNDMScheduler", 5, PLMS(), {**STABLE, "skip_prk_steps": True}),
    "euler": Pair("EulerDiscreteScheduler", 2, Euler(), STABLE),
    "euler, guided": Pair("EulerDiscreteScheduler", 4, Euler(), STABLE, scale=7.5),
    "euler_ancestral": Pair("EulerAncestralDiscreteScheduler", 3, Euler(ancestry=Ancestry(eta=1.0)), STABLE),
    "heun": Pair("HeunDiscreteScheduler", 4, Heun(), STABLE, calls=2),
    "dpm2": Pair("KDPM2DiscreteScheduler", 4, DPMSolver2S(), STABLE, calls=2),
    "dpm2_ancestral": Pair(
        "KDPM2AncestralDiscreteScheduler", 5, DPMSolver2S(ancestry=Ancestry(eta=1.0)), STABLE, calls=2
    ),
    "lms": Pair("LMSDiscreteScheduler", 5, LMS(), STABLE),
    "deis": Pair("DEISMultistepScheduler", 3, DEIS(order=2), STABLE),
    "ipndm": Pair("IPNDMScheduler", 5, IPNDM(), {}),
    "dpmpp_2m": Pair("DPMSolverMultistepScheduler", 4, DPMpp2M(), STABLE),
    "dpmpp_2m, karras": Pair(
        "DPMSolverMultistepScheduler", 4, DPMpp2M(), {**STABLE, "use_karras_sigmas": True}
    ),
    "dpmpp_2m, guided": Pair("DPMSolverMultistepScheduler", 6, DPMpp2M(), STABLE, scale=7.5),
    "dpmpp_3m": Pair(
        "DPMSolverMultistepScheduler", 6, DPMpp3M(solver_type="published"), {**STABLE, "solver_order": 3}
    ),
    "dpmpp_2m_sde": Pair(
        "DPMSolverMultistepScheduler", 5, DPMpp2MSDE(), {**STABLE, "algorithm_type": "sde-dpmsolver++"}
    ),
    "dpmpp_2s": Pair("DPMSolverSinglestepScheduler", 5, DPMPP2S(), STABLE, calls=2),
    "unipc": Pair("UniPCMultistepScheduler", 9, UniPC(), STABLE),
    "sa_solver": Pair("SASolverScheduler", 10, SASolver(), STABLE),
    "lcm": Pair("LCMScheduler", 3, LCM(), STABLE),
    "euler, flow": Pair("FlowMatchEulerDiscreteScheduler", 1, Euler(), {}, FlowVelocity(), flowing_at),
    "heun, flow": Pair("FlowMatchHeunDiscreteScheduler", 5, Heun(), {}, FlowVelocity(), flowing_at, calls=2),
    "euler, edm": Pair("EDMEulerScheduler", 3, Euler(), {}, Preconditioned(), exploding_at),
    "dpmpp_2m, edm": Pair("EDMDPMSolverMultistepScheduler", 5, DPMpp2M(), {}, Preconditioned(), exploding_at),
}


def prepared(walk: Callable[[], Iterator[None]]) -> Callable[[], None]:
    """A step at a time of walks that are set up, and have taken their first step, before the clock runs.

    Nothing of Python's lies between the clock and a walk. Nothing is compared: the peer's x is ours by alpha in places,
    and tests compare the walks.
    """
    walks = [walk() for _ in range(ROUNDS * WALKS_A_TURN + 3)]
    for begun in walks:
        next(begun)
    return chain.from_iterable(walks).__next__


def cases(device: torch.device) -> Iterator[Case]:
    """Every scheduler that the bridge reads, and two that it does not."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    diffusers.utils.logging.set_verbosity_error()
    generator = torch.Generator().manual_seed(0)
    x, output, noise = (torch.randn(SHAPE, generator=generator).to(device) for _ in range(3))
    with torch.no_grad():
        for name, pair in PAIRS.items():
            levels = _levels(pair, device)
            theirs = prepared(partial(_peer, pair, x, output, noise))
            own = prepared(partial(_own, pair, levels, x, output, noise))
            bare = partial(_passes, pair.passes, x, output)
            yield Case(
                f"{name}: a step's arithmetic, {pair.passes} pass{'es' * (pair.passes > 1)}",
                Arm("diffusers", theirs),
                [Arm("diffloom", own, [GOAL]), Arm(PASSES, bare)],
                rounds=ROUNDS,
                calls=WALKS_A_TURN * (STEPS // pair.calls - 5),
            )
        yield from _drawing(device)


def _peer(pair: Pair, x: Tensor, output: Tensor, noise: Tensor) -> Iterator[None]:
    """The loop of the peer's pipelines, around a network that knows its answer."""
    scheduler = getattr(diffusers, pair.peer)(**pair.options)
    scheduler.set_timesteps(STEPS, device=x.device)
    vars(sys.modules[type(scheduler).__module__]).update(randn_tensor=lambda *_, **__: noise)
    halves = torch.cat([output, output]) if pair.scale else output
    scale_input = getattr(scheduler, "scale_model_input", lambda sample, t: sample)
    for number, t in enumerate(scheduler.timesteps, 1):
        scale_input(torch.cat([x] * 2) if pair.scale else x, t)
        t.expand(len(halves))  # what a network is given with it: ours makes that too
        said = halves
        if pair.scale:
            null, asked = halves.chunk(2)
            said = null + pair.scale * (asked - null)
        x = scheduler.step(said, t, x, return_dict=False)[0]
        if number % pair.calls == 0:
            yield


def _passes(count: int, x: Tensor, output: Tensor) -> None:
    """As many of torch's sums, the first into new memory, with nothing around them: no step can do with less."""
    total = torch.add(x, output, alpha=0.5)
    for _ in range(count - 1):
        total.add_(output, alpha=0.5)


def _levels(pair: Pair, device: torch.device) -> tuple[Level, ...]:
    """Where the peer goes; half as many places where a step has two calls."""
    scheduler = getattr(diffusers, pair.peer)(**pair.options)
    scheduler.set_timesteps(STEPS // pair.calls, device=device)
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is None or pair.peer == "IPNDMScheduler":
        return SCHEDULE.levels([float(1000 - 20 * number) for number in range(1, STEPS)])
    if pair.at is flowing_at:
        ratios = [float(sigma / (1 - sigma)) for sigma in sigmas if 0 < sigma < 1]
    else:
        ratios = [float(sigma) for sigma in sigmas if sigma > 0]
    noisier = [pair.at(-2 * float(torch.tensor(ratio).log())) for ratio in dict.fromkeys(ratios)]
    return (*noisier, CLEAN)


def _own(pair: Pair, levels: tuple[Level, ...], x: Tensor, output: Tensor, noise: Tensor) -> Iterator[None]:
    """What `sample` composes, around the same network."""
    said = torch.cat([output, output]) if pair.scale else output
    course = composed_course(
        levels,
        lambda *_: said,
        noise_BCHW=noise,
        schedule=SCHEDULE,
        prediction=pair.prediction,
        at=pair.at,
        guidance=ClassifierFreeGuidance(scale=pair.scale) if pair.scale else None,
    )
    for _step in pair.walk(x, course):
        yield


def _drawing(device: torch.device) -> Iterator[Case]:
    """A step's noise: theirs from a stream, ours a function of the sample and the step, which overlaps the network."""
    noise = KeyedNoise(Draws.of(0, [0]), SHAPE[1:], device)
    stream = torch.Generator(device).manual_seed(0)

    def theirs() -> None:
        randn_tensor(SHAPE, generator=stream, device=device)

    def ours() -> None:
        noise(3)

    yield Case("a step's noise", Arm("diffusers", theirs), [Arm("diffloom", ours)], rounds=ROUNDS, calls=50)
