"""The simple loss. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from diffloom.process import Draws, Process, alpha_sigma, noised


class Simple:
    """L_simple: mean squared error of what the network predicts (Ho et al. 2020, eq. 14, algorithm 1).

    Eq. 14 has ε; with another prediction the error is that of its own target, unweighted.
    """

    def __call__(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        x0_BCHW: Tensor,
        *,
        process: Process,
        draws: Draws,
    ) -> Tensor:
        """The loss of each example, the mean over C, H, W: shape (B,), in x0's dtype.

        Times are uniform over the schedule's T whole times. Raises ValueError for a network output of another
        shape.
        """
        axis = process.schedule.axis
        assert axis.count is not None
        t_B = (draws.uniform("time") * axis.count).floor()
        eps_BCHW = draws.normal("noise", x0_BCHW.shape[1:], dtype=x0_BCHW.dtype, device=x0_BCHW.device)
        alpha_B111, sigma_B111 = alpha_sigma(process.schedule, t_B, x0_BCHW)
        x_t_BCHW = noised(x0_BCHW, eps_BCHW, alpha_B111, sigma_B111)
        output_BCHW = network(x_t_BCHW, t_B.to(x0_BCHW.device).float())
        target_BCHW = process.prediction.target(x0_BCHW, eps_BCHW, alpha_B111, sigma_B111)
        if output_BCHW.shape != target_BCHW.shape:
            raise ValueError(
                f"the network gave {tuple(output_BCHW.shape)} for a target of {tuple(target_BCHW.shape)}; "
                "the simple loss does not train a learned variance: turn learn_variance off"
            )
        error_BCHW = (
            output_BCHW.to(x0_BCHW.dtype) - target_BCHW
        )  # autocast may have made the output half precision
        return error_BCHW.square().flatten(1).mean(1)
