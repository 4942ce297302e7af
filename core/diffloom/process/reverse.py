"""The reverse process: from the network's output to x₀ and ε, and the noise a step adds.

The pieces compose in one order, that of the originals: `denoiser` converts the network's output, guidance
combines conditional and unconditional predictions, corrections mend the result, `clipped` comes last:

    denoise = denoiser(network, prediction)                            # (x, level, condition)
    model = Model(under=under(denoise), ...)
    steered = Steered(aims, model, guide(aims, model), corrections)    # (x, level)
    steps = sampler(x, Course(levels, clipped(steered, limit=1.0), ...))

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Conversion
from diffloom.process.denoised import Denoised, mixed
from diffloom.process.questions import Questions
from diffloom.process.types import Estimate, Level, Under

P = ParamSpec("P")


def denoiser(
    network: Callable[[Tensor, Tensor, Condition], Tensor],
    prediction: Conversion,
    *,
    learned_variance: bool = False,
    questions: Questions | None = None,
) -> Callable[..., Denoised]:
    """`denoise(x_BCHW, level, condition, estimate_BCHW=None)`: the network's prediction at one level, as x₀ and ε.

    `network(x_BCHW, t_B, condition)` is called with the prediction's `scale_in`·x and t_B float32, all
    `level.t`, and writes to neither. With `learned_variance` it returns 2·C channels, of which the second half is its
    variance output, passed on as it is. An estimate of x₀, for a network that is self-conditioned, is stacked on its
    input. Raises ValueError at the clean level, and for any other shape. `questions` are this prediction's, where
    somebody knows the levels beforehand.
    """
    put = (Questions(prediction) if questions is None else questions).put

    def denoise(
        x_BCHW: Tensor, level: Level, condition: Condition, estimate_BCHW: Tensor | None = None
    ) -> Denoised:
        shape = x_BCHW.shape
        question, t_B = put(level, shape[0], x_BCHW.device)
        seen_BCHW = x_BCHW if question.scale_in == 1.0 else mixed(question.scale_in, x_BCHW)
        if estimate_BCHW is not None:
            seen_BCHW = torch.cat([seen_BCHW, estimate_BCHW], 1)
        output = network(seen_BCHW, t_B, condition)
        if output.dtype is not x_BCHW.dtype:  # autocast may have made it half precision
            output = output.to(x_BCHW.dtype)
        if learned_variance:
            output, variance = _halves(output, x_BCHW)
            return Denoised.said(x_BCHW, output, question.form, variance)
        if output.shape != shape:
            raise _misshapen("no learned", shape, output)
        return Denoised.said(x_BCHW, output, question.form)

    return denoise


def _halves(output: Tensor, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """The prediction and the variance output."""
    rows, channels, *rest = x_BCHW.shape
    if output.shape != (due := (rows, 2 * channels, *rest)):
        raise _misshapen("a learned", due, output)
    prediction, variance = output.chunk(2, 1)
    return prediction, variance


def _misshapen(which: str, due: Sequence[int], output: Tensor) -> ValueError:
    return ValueError(
        f"with {which} variance the network must return {tuple(due)}, not {tuple(output.shape)}"
    )


def under(
    denoise: Callable[..., Denoised],
    prepare: Callable[[Condition], Condition] = lambda condition: condition,
    *,
    self_conditioning: bool = False,
) -> Under:
    """`denoise` under one condition at a time: (condition) → (x, level) → x₀ and ε.

    `prepare` is called with each condition once, when it becomes known, and not again at every level. With
    `self_conditioning` a denoiser is for one walk: it shows the network what it last said of x₀ under this condition,
    zeros at first (Chen et al. 2022, algorithm 2).
    """

    def under_condition(
        condition: Condition, estimates: Sequence[Estimate] | None = None
    ) -> Callable[[Tensor, Level], Denoised]:
        prepared = prepare(condition)
        known = (Estimate(),) if estimates is None else tuple(estimates)

        def denoise_under(x_BCHW: Tensor, level: Level) -> Denoised:
            return denoise(x_BCHW, level, prepared)

        def denoise_remembering(x_BCHW: Tensor, level: Level) -> Denoised:
            shown = [
                torch.zeros_like(rows) if estimate.x0_BCHW is None else estimate.x0_BCHW
                for estimate, rows in zip(known, x_BCHW.chunk(len(known)), strict=True)
            ]
            denoised = denoise(x_BCHW, level, prepared, torch.cat(shown))
            said = denoised.x0_BCHW.detach().chunk(len(known))
            for estimate, x0_BCHW in zip(known, said, strict=True):
                estimate.x0_BCHW = x0_BCHW
            return denoised

        return denoise_remembering if self_conditioning else denoise_under

    return under_condition


def clipped(
    denoise: Callable[Concatenate[Tensor, Level, P], Denoised], limit: float
) -> Callable[Concatenate[Tensor, Level, P], Denoised]:
    """`denoise` with x₀ clamped to [−limit, limit] and ε re-derived: alpha·x₀ + sigma·ε = x_t still holds.

    Belongs outside guidance: guide first, then clip. guided-diffusion re-derives ε as here; diffusers' DDIM
    does so only with `use_clipped_model_output=True`.
    """

    def denoise_clipped(x_BCHW: Tensor, level: Level, /, *args: P.args, **kwargs: P.kwargs) -> Denoised:
        free = denoise(x_BCHW, level, *args, **kwargs)
        inside = free.with_x0(free.x0_BCHW.clamp(-limit, limit), level)
        if free.tilt is None:
            return inside
        return inside.with_tilt(replace(free.tilt, x0_BCHW=free.tilt.x0_BCHW.clamp(-limit, limit)))

    return denoise_clipped


def perturbed(mean: Tensor, std: Tensor | float, noise: Callable[[int], Tensor], index: int) -> Tensor:
    """A draw of the reverse step, mean + std·noise(index); where std is the number 0 no noise is drawn."""
    if isinstance(std, float) and std == 0.0:
        return mean
    if isinstance(std, Tensor):
        return torch.addcmul(mean, std, noise(index))
    return torch.add(mean, noise(index), alpha=std)
