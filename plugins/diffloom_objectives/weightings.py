"""The weightings a YAML file can name. Does not import torch.

Formulas are weights of squared errors in x₀, but where they say otherwise; SNR = alpha²/sigma², λ = log SNR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from diffloom.kinds import Default, Variance, Weighting

if TYPE_CHECKING:
    from diffloom_objectives.level_weights import (
        BoundWeight,
        EDMWeight,
        MinSNRWeight,
        P2Weight,
        SigmoidWeight,
        SoftMinSNRWeight,
        Unweighted,
    )
    from diffloom_objectives.log_variance import LearnedLogVariance


class UniformWeighting(Weighting):
    """1 for the error of the network's output, whatever that predicts (Ho et al. 2020, eq. 14)."""

    name = "uniform"

    @property
    def of_output(self) -> bool:
        return True

    def build(self) -> Unweighted:
        """The weight."""
        from diffloom_objectives.level_weights import Unweighted

        return Unweighted()


class MinSNRWeighting(Weighting):
    """min(SNR, γ): no level counts more than γ (Hang et al. 2023, section 3.4).

    For ε that is min(SNR, γ)/SNR, for v min(SNR, γ)/(SNR + 1), and both are finite where no signal is left.
    """

    name = "min_snr"

    gamma: PositiveFloat = 5.0
    """γ, the largest weight."""

    def build(self) -> MinSNRWeight:
        """The weight."""
        from diffloom_objectives.level_weights import MinSNRWeight

        return MinSNRWeight(self.gamma)


class SoftMinSNRWeighting(Weighting):
    """SNR·γ/(SNR + γ), min-SNR without its corner (Crowson et al. 2024)."""

    name = "soft_min_snr"

    gamma: PositiveFloat = 4.0
    """γ, the largest weight; the paper's fits data whose standard deviation is ½."""

    def build(self) -> SoftMinSNRWeight:
        """The weight."""
        from diffloom_objectives.level_weights import SoftMinSNRWeight

        return SoftMinSNRWeight(self.gamma)


class P2Weighting(Weighting):
    """SNR/(k + SNR)^γ: less for levels of fine detail (Choi et al. 2022, eq. 8); for ε it is 1/(k + SNR)^γ."""

    name = "p2"

    k: PositiveFloat = 1.0
    """Keeps the weight of ε finite at low SNR."""
    gamma: NonNegativeFloat = 1.0
    """γ, how strongly; 0 is the uniform weighting of ε."""

    def build(self) -> P2Weight:
        """The weight."""
        from diffloom_objectives.level_weights import P2Weight

        return P2Weight(k=self.k, gamma=self.gamma)


class EDMWeighting(Weighting):
    """(σ² + σ_data²)/(σ·σ_data)² for σ = sigma/alpha: 1 for EDM's network (Karras et al. 2022, table 1)."""

    name = "edm"

    sigma_data: PositiveFloat = 0.5
    """Standard deviation of the data."""

    def build(self) -> EDMWeight:
        """The weight."""
        from diffloom_objectives.level_weights import EDMWeight

        return EDMWeight(self.sigma_data)


class SigmoidWeighting(Weighting):
    """sigmoid(b − λ) over λ: ½·sigmoid(b − λ)·(−dλ/du) for ε, u the share of the axis (Kingma & Gao 2023).

    It does not depend on the schedule but for where that ends: the speed at which training passes a level is divided
    out. Of a counted schedule that speed is T times the difference to the time before.
    """

    name = "sigmoid"

    bias: float = 0.0
    """b: where the weight falls to a half; below it, levels noisier than that are all alike."""

    def build(self) -> SigmoidWeight:
        """The weight."""
        from diffloom_objectives.level_weights import SigmoidWeight

        return SigmoidWeight(self.bias)


class BoundWeighting(Weighting):
    """The bound's own: for ε, β²/(2σ²·α·(1 − ᾱ)), σ² being the reverse step's variance (Ho et al. 2020, eq. 12).

    It is (weight of x₀ in the posterior's mean)²/(2σ²) for x₀, and with fixed_small half the SNR that the step gains;
    of a posterior mean 1/(2σ²). The step into the clean level takes β̃ of the one before it for σ². On a continuous axis
    it is the density ½·(−dSNR/du) over the share u (Kingma et al. 2021, eq. 17).
    """

    name = "bound"

    def check(self, *, variance: Variance) -> None:
        if variance.learned:
            raise ValueError(
                f"the weighting {self.canonical} divides by a variance that is fixed, and {variance.canonical} is "
                "learned; take weighting: uniform, since hybrid has the bound itself, or objective: variational_bound"
            )

    def build(self) -> BoundWeight:
        """The weight."""
        from diffloom_objectives.level_weights import BoundWeight

        return BoundWeight()


class LearnedLogVarianceWeighting(Weighting):
    """error/exp(u) + u with a learned u of the level: all come to weigh the same (Karras et al. 2024).

    u is that of edm2: random Fourier features of ln(sigma/alpha)/4, then a linear layer. Ours begins at 0.
    """

    name = "learned_log_variance"

    weighting: Annotated[Weighting, Default("uniform")] = UniformWeighting()
    """What the error is weighted with first; the paper's is edm."""
    features: PositiveInt = 128
    """How many features u is made of."""

    @property
    def of_output(self) -> bool:
        return self.weighting.of_output

    def check(self, *, variance: Variance) -> None:
        self.weighting.check(variance=variance)

    def build(self) -> LearnedLogVariance:
        """The weight, a module."""
        from diffloom_objectives.log_variance import LearnedLogVariance

        return LearnedLogVariance(self.weighting.build(), features=self.features)
