"""DDIM: DDPM's marginals with less noise, or none."""

from __future__ import annotations

from diffloom_samplers.euler import Euler
from diffloom_samplers.fresh_noise import Ancestry


class DDIM(Euler):
    """Denoising diffusion implicit models (Song et al. 2020), eq. 12 and 16: Euler's method with eta's noise.

    x₀ and ε belong together (alpha·x₀ + sigma·ε = x_t), clipped or not, as in guided-diffusion and as the
    paper has it. diffusers by default keeps the ε of before clipping: to compare, call it with
    `use_clipped_model_output=True`. Each step goes to the next level of the grid. diffusers goes to time t −
    T // N, which is the next one only where the grid is evenly spaced. It ignores `course.variance`.
    """

    def __init__(self, *, eta: float = 0.0) -> None:
        """`eta` in [0, 1]: 0 is deterministic, 1 adds as much noise as DDPM with the variance fixed_small."""
        if not 0.0 <= eta <= 1.0:
            raise ValueError(f"eta is between 0 and 1, not {eta}")
        super().__init__(ancestry=Ancestry(eta=eta))
