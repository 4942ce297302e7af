"""Latents must have about the scale that noise schedules are made for. Legend: B batch, C channels, H, W."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from diffloom.errors import ConfigError, Problem
from diffloom.latents.moments import Moments

LOWEST, HIGHEST = 0.5, 2.0
"""Of the standard deviation of all latents together. A schedule reaches the signal-to-noise ratios it was designed for
when that is 1 (Rombach et al. 2022, section 4.3.1 and appendix G): another one shifts log-SNR by twice its logarithm,
±1.4 at these bounds. Stable Diffusion's scale 0.18215 and XL's 0.13025 give 0.9 and 1 on pictures like theirs;
forgotten, they leave 5 and 8.
"""
EXAMPLES = 256
"""How many of the run's first examples are looked at."""


def require_unit_scale(x0: Iterator[Tensor], *, channels: int) -> float:
    """The standard deviation of the first latents, given in batches (B, C, H, W) as training would have them.

    Raises ConfigError naming it and the remedy when it is far from 1, or when a latent is not finite.
    """
    moments, seen = Moments(channels), 0
    for x0_BCHW in x0:
        part_BCHW = x0_BCHW[: EXAMPLES - seen]
        if not part_BCHW.isfinite().all():
            raise _refused(
                f"the latents of the first {seen + len(part_BCHW)} examples hold NaN or infinite numbers; look at the "
                "autoencoder's weights"
            )
        moments.add(part_BCHW)
        seen += len(part_BCHW)
        if seen == EXAMPLES:
            break
    std = moments.pooled_std
    if not LOWEST <= std <= HIGHEST:
        each = ", ".join(f"{one:.3g}" for one in moments.std)
        raise _refused(
            f"the latents of the first {seen} examples have a standard deviation of {std:.3g} (by channel {each}), and "
            "the noise schedule is made for 1; measure and store it with `diffloom calibrate` on this file, or set "
            "the autoencoder's published space.scale"
        )
    return std


def _refused(message: str) -> ConfigError:
    return ConfigError([Problem("space", message)])
