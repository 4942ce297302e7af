"""The predictions a YAML file can name; what they compute is in `diffloom.process.conversions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveFloat

from diffloom.kinds import Prediction
from diffloom.process.conversions import X0, Epsilon, FlowVelocity, Preconditioned, Score, V

if TYPE_CHECKING:
    from diffloom.kinds import NoiseSchedule
    from diffloom.process.posterior_mean import PosteriorMean


class EpsilonPrediction(Prediction):
    """The noise ε (Ho et al. 2020)."""

    name = "epsilon"
    equation: ClassVar[str] = "F = ε;  x̂₀ = (x_t − σ·F)/α"
    needs_signal: ClassVar[bool] = True

    def build(self, *, schedule: NoiseSchedule) -> Epsilon:
        """The conversion."""
        return Epsilon()


class X0Prediction(Prediction):
    """The clean picture x₀. diffusers calls this `sample`, OpenAI's code `START_X`."""

    name = "x0"
    equation: ClassVar[str] = "F = x₀;  ε̂ = (x_t − α·F)/σ"

    def build(self, *, schedule: NoiseSchedule) -> X0:
        """The conversion."""
        return X0()


class VPrediction(Prediction):
    """The velocity v = alpha·ε − sigma·x₀ (Salimans & Ho 2022). diffusers calls this `v_prediction`."""

    name = "v"
    equation: ClassVar[str] = "F = α·ε − σ·x₀;  x̂₀ = (α·x_t − σ·F)/(α² + σ²)"

    def build(self, *, schedule: NoiseSchedule) -> V:
        """The conversion."""
        return V()


class PosteriorMeanPrediction(Prediction):
    """The mean of the step to the time before (Ho et al. 2020, eq. 7). OpenAI's code calls this `PREVIOUS_X`."""

    name = "posterior_mean"
    equation: ClassVar[str] = "F = μ(x_t, x₀), the mean of the step to the time before, solved for x̂₀"
    needs_counted_times: ClassVar[bool] = True

    def build(self, *, schedule: NoiseSchedule) -> PosteriorMean:
        """The conversion. Raises ValueError for a schedule whose times are not counted."""
        from diffloom.process.posterior_mean import PosteriorMean

        return PosteriorMean(schedule)


class ScorePrediction(Prediction):
    """The score ∇ log p(x_t) = −ε/sigma (Song et al. 2021)."""

    name = "score"
    equation: ClassVar[str] = "F = ∇ log p(x_t);  x̂₀ = (x_t + σ²·F)/α"
    needs_signal: ClassVar[bool] = True

    def build(self, *, schedule: NoiseSchedule) -> Score:
        """The conversion."""
        return Score()


class FlowPrediction(Prediction):
    """The velocity ε − x₀ of rectified flow (Liu et al. 2022). diffusers calls this `flow_prediction`."""

    name = "flow"
    equation: ClassVar[str] = "F = ε − x₀;  x̂₀ = (x_t − σ·F)/(α + σ)"

    def build(self, *, schedule: NoiseSchedule) -> FlowVelocity:
        """The conversion."""
        return FlowVelocity()


class EDMPrediction(Prediction):
    """What is left of x₀ once x_t is scaled, with the network's input and output of variance 1 (Karras et al. 2022)."""

    name = "edm"
    equation: ClassVar[str] = (
        "x̂₀ = α·{sigma_data}²/P·x_t + σ·{sigma_data}/√P·F(x_t/√P, t, c), P = α²·{sigma_data}² + σ²"
    )

    sigma_data: PositiveFloat = 0.5
    """Standard deviation of what is diffused: 0.5 for most pixels, 1 for latents scaled to it."""

    def build(self, *, schedule: NoiseSchedule) -> Preconditioned:
        """The conversion."""
        return Preconditioned(sigma_data=self.sigma_data)

    @property
    def data_std(self) -> float:
        return self.sigma_data
