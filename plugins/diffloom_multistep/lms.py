"""Linear multistep over sigma/alpha. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from diffloom.process import Course, lagrange_integrals
from diffloom_multistep.multistep import Multistep, first_with_signal, order_at


class LMS(Multistep):
    """Adams-Bashforth on uneven levels: dx̄ = ε dρ with x̄ = x/alpha and ρ = sigma/alpha (Karras et al. 2022, eq. 4).

    ε is followed along the polynomial in ρ through its last values, and integrated exactly: k-diffusion's
    `sample_lms`, and ρAB-DEIS of Zhang & Chen 2022. Into the clean level, ρ = 0, the order stays.
    """

    remembers = "eps"

    def __init__(self, *, order: int = 4) -> None:
        """`order` predictions make a step once there are as many."""
        if order < 1:
            raise ValueError(f"the order is at least 1, not {order}")
        self.order = order

    def weights(self, course: Course, index: int) -> tuple[float, ...]:
        """alpha_s·∫ L_j dρ, without the step's own."""
        levels = course.levels
        order = order_at(levels, index, highest=self.order, since=first_with_signal(levels))
        if order == 1:
            return ()
        ratios = [levels[index - back].ratio for back in range(order)]
        next_level = levels[index + 1]
        _, *rest = lagrange_integrals(ratios, start=ratios[0], end=next_level.ratio)
        return tuple(next_level.alpha * part for part in rest)
