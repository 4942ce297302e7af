"""The skeleton of a loss. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from diffloom.process import Denoised, Draws, Process
from diffloom_objectives.noising import Network, Noised, Noising, answer


class NoisedLoss(nn.Module):
    """Makes the examples noisy, asks the network, and compares; a subclass says how."""

    def __init__(self, noising: Noising, *, self_conditioning: bool = False) -> None:
        super().__init__()
        self.noising = noising
        self.self_conditioning = self_conditioning

    @abstractmethod
    def compare(self, output_BCHW: Tensor, noised: Noised, *, process: Process, draws: Draws) -> Tensor:
        """The loss of each example without its time's factor, (B,). Raises ValueError for outputs that do not fit."""

    def forward(self, network: Network, x0_BCHW: Tensor, *, process: Process, draws: Draws) -> Tensor:
        """The loss of each example, (B,), in x0's dtype."""
        noised: Noised = self.noising(x0_BCHW, process=process, draws=draws)
        output_BCHW = answer(
            network, noised, process=process, draws=draws, self_conditioning=self.self_conditioning
        )
        return noised.factor_B * self.compare(output_BCHW, noised, process=process, draws=draws)

    def observe(self, draws: Draws, loss_B: Tensor, *, process: Process) -> None:
        """Tell the timing what its times cost, where it learns of that."""
        learn = getattr(self.noising.times, "observe", None)
        if learn is not None:
            t_B, factor_B = self.noising.times(draws, schedule=process.schedule)
            learn(t_B, loss_B.detach() / factor_B.to(loss_B), schedule=process.schedule)


def split_output(output_BCHW: Tensor, noised: Noised) -> tuple[Tensor, Tensor | None]:
    """The prediction, and the variance output where there is one. Raises ValueError for any other shape."""
    batch, channels, *sides = noised.x0_BCHW.shape
    if output_BCHW.shape == (batch, channels, *sides):
        return output_BCHW, None
    if output_BCHW.shape == (batch, 2 * channels, *sides):
        return output_BCHW[:, :channels], output_BCHW[:, channels:]
    raise ValueError(
        f"the network gave {tuple(output_BCHW.shape)} for x_t of {tuple(noised.x0_BCHW.shape)}: neither as many "
        "channels, nor twice as many for a learned variance"
    )


def understood(output_BCHW: Tensor, noised: Noised, process: Process) -> Denoised:
    """What the output says of x_t. Raises ValueError as `split_output` does."""
    prediction_BCHW, variance_BCHW = split_output(output_BCHW, noised)
    x0_BCHW, eps_BCHW = process.prediction.x0_eps(
        prediction_BCHW, noised.x_t_BCHW, noised.alpha_B111, noised.sigma_B111
    )
    return Denoised(x0_BCHW=x0_BCHW, eps_BCHW=eps_BCHW, variance_BCHW=variance_BCHW)
