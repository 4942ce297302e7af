"""Independent normal distributions, one for each latent. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import torch
from torch import Tensor

LOG_VAR_RANGE = (-30.0, 20.0)
"""Where log-variances are kept, as in latent-diffusion: exp of more is no use, and no number in float16."""


def parts(posterior_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance, of a tensor that holds both one after another."""
    mean_BCHW, log_var_BCHW = posterior_BCHW.chunk(2, dim=1)
    return mean_BCHW, log_var_BCHW.clamp(*LOG_VAR_RANGE)


def drawn(posterior_BCHW: Tensor, eps_BCHW: Tensor) -> Tensor:
    """mean + std·ε (Kingma & Welling 2014, eq. 10)."""
    mean_BCHW, log_var_BCHW = parts(posterior_BCHW)
    return mean_BCHW + torch.exp(0.5 * log_var_BCHW) * eps_BCHW


def divergence(posterior_BCHW: Tensor) -> Tensor:
    """KL(N(mean, std²) ‖ N(0, 1)) in nats, summed over the latents (Kingma & Welling 2014, appendix B): (B,)."""
    mean_BCHW, log_var_BCHW = parts(posterior_BCHW)
    nats_BCHW = 0.5 * (mean_BCHW**2 + log_var_BCHW.exp() - 1 - log_var_BCHW)
    return nats_BCHW.flatten(1).sum(dim=1)
