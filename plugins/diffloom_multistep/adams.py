"""Pseudo linear multistep: Adams-Bashforth as if levels were evenly spaced. Legend: B batch, C channels, H, W."""

from __future__ import annotations

from torch import Tensor

from diffloom.process import Course, Denoised, Move, summed
from diffloom_multistep.multistep import Multistep, order_at

BASHFORTH: dict[int, tuple[float, ...]] = {
    1: (),
    2: (-1 / 2,),
    3: (-16 / 12, 5 / 12),
    4: (-59 / 24, 37 / 24, -9 / 24),
}
"""For each order the weights of the values 1, 2, … steps ago; the newest has what is missing to 1."""


class IPNDM(Multistep):
    """Improved PNDM (Zhang & Chen 2022): a DDIM step along Adams-Bashforth's mean of the last ε.

    x_s = alpha_s/alpha_t·x_t + (sigma_s − alpha_s/alpha_t·sigma_t)·ε' (Liu et al. 2022, section 3.2). The mean is
    taken as if sigma/alpha fell evenly, so that beyond 2 a larger `order` makes the error smaller, and its order no
    higher. The first steps have fewer values, where the PNDM of Liu et al. takes Runge-Kutta steps of four calls.
    """

    remembers = "eps"  # at a level without signal it is x itself, and counts as any other

    def __init__(self, *, order: int = 4) -> None:
        """`order` predictions, 1 to 4, make a step once there are as many."""
        if order not in BASHFORTH:
            raise ValueError(f"the order is 1, 2, 3 or 4, not {order}")
        self.order = order

    def weights(self, course: Course, index: int) -> tuple[float, ...]:
        """Adams-Bashforth's, times the length of the step in sigma/alpha, times alpha_s."""
        current, following = course.levels[index : index + 2]
        order = order_at(course.levels, index, highest=self.order)
        if order == 1:
            return ()
        length = following.sigma - following.alpha * current.ratio
        return tuple(length * weight for weight in BASHFORTH[order])


class PLMS(IPNDM):
    """Pseudo numerical methods (Liu et al. 2022) as latent-diffusion has them: a pseudo improved Euler step first.

    The first step is taken twice: to the next level, and again along the mean of ε here and there, for one more
    network call, whose answer is not remembered. From a level without signal, where ε says nothing, the mean is of x₀.
    """

    def __init__(self) -> None:
        super().__init__(order=4)

    def begin(self, course: Course) -> Move:
        """The step."""
        step = super().begin(course)
        current, following = course.levels[:2]

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            denoised, x_s_BCHW = step(x_BCHW, index)
            if index > 0 or following.is_clean:
                return denoised, x_s_BCHW
            ahead = course.denoise(x_s_BCHW, following)
            if current.alpha == 0:
                more, less = {"x0": following.alpha / 2}, {"x0": -following.alpha / 2}
            else:
                half = (following.sigma - following.alpha * current.ratio) / 2
                more, less = {"eps": half}, {"eps": -half}
            return denoised, summed(((1.0, x_s_BCHW), *ahead.terms(**more), *denoised.terms(**less)))

        return move
