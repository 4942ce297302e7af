"""How likely a model finds given pictures: the variational bound of a pipeline.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.errors import DiffloomError
from diffloom.process import (
    CLEAN,
    BitsPerDimension,
    Denoised,
    Draws,
    Level,
    bits_per_dimension,
    clipped,
    denoiser,
)

if TYPE_CHECKING:
    from diffloom.pipeline import Pipeline

UNCOUNTED_STEPS = 1000
"""How many levels stand for those of a continuous schedule, evenly spaced in log-SNR."""
LEAST_LOG_SNR = -14.0
"""Where the even spacing begins, if the schedule ends without signal: what is noisier costs 1e-6 bits."""


@torch.no_grad()
def picture_bits(
    pipeline: Pipeline,
    images_BCHW: Tensor,
    /,
    *,
    seed: int = 0,
    steps: int | None = None,
    clip: float | None = None,
    **conditions: Any,
) -> BitsPerDimension:
    """An upper bound on −log₂ p of each picture in bits per dimension, from one draw of noise at every level.

    `images_BCHW` are 8-bit pictures brought to [-1, 1]: each value one of 256, evenly spaced. `steps` None takes every
    level that the model was trained on, and a thousand where they are not counted; fewer give the
    bound of a walk of so many steps. `clip` clamps the predicted x₀, as `sampling.clip` does. Row b has the noise
    (seed, b). Conditions as in `Pipeline.sample`; the plain conditional model is judged, without guidance. Raises
    DiffloomError for an autoencoder's latents, whose likelihood says nothing of the pictures, and for what the model
    cannot use.
    """
    document = pipeline.document
    if not document.space.lossless:
        raise DiffloomError(
            f"{document.space.canonical} makes latents, and their likelihood is not that of the pictures; "
            "bits per dimension are told of models in the pixels' own space"
        )
    pipeline.module.eval()
    raw, _ = pipeline.conditioning.check(conditions, len(images_BCHW))
    x0_BCHW = pipeline.encode(images_BCHW)
    chain = _chain(pipeline, steps)
    denoise = _plain(pipeline, pipeline.conditioning.encode(raw, device=pipeline.device))
    return bits_per_dimension(
        x0_BCHW,
        chain,
        denoise=denoise if clip is None else clipped(denoise, clip),
        variance=pipeline.process.variance,
        prior_std=pipeline.schedule.prior_std(chain[0]),
        draws=Draws.of(seed, range(len(x0_BCHW))),
        # between levels as close as these β̃ vanishes: x₀ is as sure as x/alpha, which the decoder sees
        least=chain[-2].ratio ** 2 if pipeline.schedule.axis.count is None else None,
    )


def _chain(pipeline: Pipeline, steps: int | None) -> tuple[Level, ...]:
    """Levels from the noisiest to the cleanest time, both included, then clean."""
    schedule, axis = pipeline.schedule, pipeline.schedule.axis
    count = steps or axis.count or UNCOUNTED_STEPS
    if count < 2 or (axis.count is not None and count > axis.count):
        most = "or more" if axis.count is None else f"to {axis.count}"
        raise DiffloomError(f"steps={steps}: the bound is told of 2 {most} steps")
    shares = [number / (count - 1) for number in range(count)]
    if axis.count is not None:
        times = [axis.whole(round((1 - share) * (axis.count - 1))) for share in shares]
        return (*schedule.levels(times)[:-1], CLEAN)
    noisiest, cleanest, _ = schedule.levels([axis.last, axis.first])
    start, end = max(noisiest.log_snr, LEAST_LOG_SNR), cleanest.log_snr
    between = [schedule.level(start + share * (end - start)) for share in shares[1:-1]]
    return (noisiest, *between, cleanest, CLEAN)


def _plain(pipeline: Pipeline, condition: Condition) -> Callable[[Tensor, Level], Denoised]:
    """The model's denoiser, a function of x_t alone: a self-conditioned network is shown zeros at every level."""
    document = pipeline.document
    denoise = denoiser(pipeline.network, pipeline.prediction, learned_variance=document.variance.learned)
    prepared = pipeline.network.prepare(condition)

    def plain(x_BCHW: Tensor, level: Level) -> Denoised:
        estimate_BCHW = torch.zeros_like(x_BCHW) if document.backbone.self_conditioning else None
        return denoise(x_BCHW, level, prepared, estimate_BCHW)

    return plain
